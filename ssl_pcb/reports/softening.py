"""A picture of how a temperature spreads probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ssl_pcb.data.manifest import LABELS
from ssl_pcb.decision.calibration import sigmoid
from ssl_pcb.evaluation.figures import ESCAPES, FALSE_CALLS, GREY, plain, save_figure

BINS, SIDE = 20, 2.6
"""Of a histogram, and its inches."""

COLOURS = {"Defective": ESCAPES, "NonDefective": FALSE_CALLS}
"""Of the bars above and below the middle."""


def draw_softening(
    log_odds: NDArray[np.float64], labels: NDArray[np.int64], temperatures: Sequence[float], used: float, path: Path
) -> None:
    """Draw histograms of P(Defective) at several temperatures beside each other, as a PNG.

    Args:
        log_odds: (N,) of Defective at temperature 1, of validation samples.
        labels: (N,) class indices.
        temperatures: One for each histogram.
        used: The network's own among them.
        path: File to write.

    Raises:
        UserError: If the file cannot be written.
    """
    save_figure(softening_figure(log_odds, labels, temperatures, used), path)


def softening_figure(
    log_odds: NDArray[np.float64], labels: NDArray[np.int64], temperatures: Sequence[float], used: float
) -> Figure:
    """The same as a figure, with axes for each temperature."""
    figure = Figure(figsize=(1 + SIDE * len(temperatures), 1 + SIDE), layout="constrained")
    figure.suptitle(f"P(Defective) of {len(labels):,} validation samples, logits divided by T", fontsize="medium")
    panels = figure.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
    for axes, temperature in zip(panels, temperatures, strict=True):
        probabilities = sigmoid(log_odds / temperature)
        unsure = np.mean((probabilities > 0.1) & (probabilities < 0.9))
        own = " (of this network)" if temperature == used else ""
        axes.set_title(f"T = {temperature:.3g}{own}", fontsize="medium")
        axes.set_xlabel(f"{unsure:.0%} between 0.1 and 0.9")
        _draw_histogram(axes, probabilities, labels)
    plain(panels)
    panels[0].set_ylabel("share of the class")
    panels[0].legend(loc="upper center", frameon=False, fontsize="small")
    return figure


def _draw_histogram(axes: Axes, probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    for (name, colour), direction in zip(COLOURS.items(), (1, -1), strict=True):
        found = probabilities[labels == LABELS.index(name)]
        counts, edges = np.histogram(found, BINS, (0, 1))
        heights = direction * counts / max(len(found), 1)
        axes.bar(edges[:-1], heights, 0.9 / BINS, align="edge", color=colour, label=name)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.set(xlim=(0, 1), ylim=(-1.05, 1.05))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0%}")
