"""A picture of how much a trained classifier minds each change."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_pcb.audit.invariance import Invariance
from ssl_pcb.evaluation.figures import ESCAPES, FALSE_CALLS, GREY, plain, save_figure

ROW, SPREAD = 0.36, 0.22
"""Inches for a change, and how far the marks of its strengths lie from each other, in rows."""


def draw_invariance(measured: Sequence[Invariance], limit: float, path: Path) -> None:
    """Write :func:`invariance_figure` as a PNG.

    Raises:
        UserError: If it cannot be written.
    """
    save_figure(invariance_figure(measured, limit), path)


def invariance_figure(measured: Sequence[Invariance], limit: float) -> Figure:
    """A row for each change with a mark for each strength: similarity of features, and verdicts that flip.

    Args:
        measured: Changes of one name follow each other, the weaker first.
        limit: Share of flipped verdicts that changes as strong as the standard augmentation's should not exceed.
    """
    changes = [(name, list(some)) for name, some in groupby(measured, lambda each: each.change.name)]
    figure = Figure(figsize=(11, 1.6 + ROW * len(changes)), layout="constrained")
    similarity, flips = figure.subplots(1, 2, sharey=True)
    for row, (_, some) in enumerate(changes):
        for number, each in enumerate(some):
            _mark(similarity, flips, row + (number - (len(some) - 1) / 2) * SPREAD, each, limit)
    similarity.set_yticks(range(len(changes)), [_name(name, some) for name, some in changes])
    similarity.set(ylim=(len(changes) - 0.4, -0.6), xlabel="cosine of the features, mean and 5th percentile",
                   title="features: 1 = the change is not noticed")  # fmt: skip
    flips.axvline(limit, color=ESCAPES, linewidth=1)
    flips.set(xlim=(0, None), xlabel="share of the verdicts, 95 % interval",
              title="verdicts that flip: 0 = none depends on the change")  # fmt: skip
    flips.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    for axes in (similarity, flips):
        axes.title.set_fontsize("medium")
    plain([similarity, flips])
    figure.supxlabel(
        "In each row from top to bottom: the strengths in brackets. Blue: as strong as in the standard augmentation, "
        "red where its interval lies right of the line, which is a finding; grey: others, reported.",
        fontsize="small",
    )  # fmt: skip
    return figure


def _mark(similarity: Axes, flips: Axes, height: float, each: Invariance, limit: float) -> None:
    low, high = each.flips.interval()
    colour = GREY if not each.change.usual else ESCAPES if low > limit else FALSE_CALLS
    for axes, ends, value in (
        (similarity, (each.least_similar, each.similarity), each.similarity),
        (flips, (low, high), each.flips.value),
    ):
        axes.plot(ends, (height, height), color=colour, linewidth=1.4)
        axes.plot(value, height, "o", color=colour, markersize=4)


def _name(name: str, some: Sequence[Invariance]) -> str:
    strengths = ", ".join(f"{each.change.strength:g}" for each in some if each.change.strength is not None)
    return f"{name} ({strengths})" if strengths else name
