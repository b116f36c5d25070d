"""Charts as PNG files: the operating point, and whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ssl_pcb.decision.thresholds import candidate_thresholds
from ssl_pcb.evaluation.figures import ESCAPES, FALSE_CALLS, GREY, plain, save_figure
from ssl_pcb.evaluation.reliability import Bin
from ssl_pcb.reports.saved import Scored


def draw_operating_point(parts: Mapping[str, Scored], thresholds: Sequence[float], unit: str, path: Path) -> None:
    """Escape and false-call rate at every threshold, and one against the other; the chosen thresholds are marked.

    Args:
        parts: Samples by the name that they have in the legend; the first is drawn in full lines.
        thresholds: One, or the two between which a person looks.
        unit: What a sample is.
        path: File to write.

    Raises:
        UserError: If it cannot be written.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    by_score, against = figure.subplots(1, 2)
    for style, marker, (name, scored) in zip(("-", "--"), ("o", "s"), parts.items(), strict=False):
        candidates = candidate_thresholds(scored.scores)
        escapes, false_calls = _rates_along(scored, candidates)
        by_score.step(candidates, escapes, style, color=ESCAPES, where="post", label=f"escape rate, {name}")
        by_score.step(candidates, false_calls, style, color=FALSE_CALLS, where="post", label=f"false-call rate, {name}")
        against.step(escapes, false_calls, style, color="black", where="post", label=name)
        against.plot(*_rates_along(scored, np.array(thresholds)), marker, color="black", label=f"chosen, {name}")
    for threshold in thresholds:
        by_score.axvline(threshold, color=GREY, linewidth=1)
    if len(set(thresholds)) == 2:
        by_score.axvspan(*thresholds, color=GREY, alpha=0.15, label="a person looks")
    by_score.set(xlabel="threshold (score)", ylabel=f"share of the class' {unit}s", ylim=(0, 1))
    against.set(xlabel=f"escape rate of Defective {unit}s", ylabel=f"false-call rate of good {unit}s")
    _finish(figure, [by_score, against], path)


def draw_reliability(bins: Mapping[str, Sequence[Bin]], unit: str, path: Path) -> None:
    """Observed share of Defective against the probability said, a line a calibration.

    Raises:
        UserError: If it cannot be written.
    """
    figure = Figure(figsize=(5.2, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), color=GREY, linewidth=1)
    for name, points in bins.items():
        axes.plot(
            [each.predicted for each in points], [each.observed for each in points], "o-", markersize=4, label=name
        )
    axes.set(xlabel="probability of Defective that is said", ylabel=f"share of such {unit}s that are Defective",
             xlim=(0, 1), ylim=(0, 1), aspect="equal")  # fmt: skip
    _finish(figure, [axes], path)


def _rates_along(scored: Scored, thresholds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Escape and false-call rate at each threshold."""
    good, defective = (np.sort(scored.scores[scored.labels == label]) for label in (0, 1))
    escaped = np.searchsorted(defective, thresholds, side="left") / max(len(defective), 1)
    return escaped, 1 - np.searchsorted(good, thresholds, side="left") / max(len(good), 1)


def _finish(figure: Figure, axes: Sequence[Axes], path: Path) -> None:
    plain(axes)
    for each in axes:
        each.legend(frameon=False, fontsize="small")
    save_figure(figure, path)
