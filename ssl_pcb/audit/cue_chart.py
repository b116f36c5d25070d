"""A picture of how well each cue tells the label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_pcb.audit.cues import Kind
from ssl_pcb.audit.shortcuts import Auroc, CueResult
from ssl_pcb.evaluation.figures import ESCAPES, FALSE_CALLS, GREY, plain, save_figure

ROW, HEADING = 0.27, 0.5
"""Inches for a bar, and for the heading above bars of one kind."""

FAILED, FILE, OTHER, BLANKED = ESCAPES, FALSE_CALLS, GREY, "#d19a3c"
HEADINGS: dict[Kind, str] = {
    "file": "file cues: fail where the whole interval lies right of the red line (that with defects blanked, too)",
    "position": "position cues: reported",
    "content": "content cues: reported",
}


def draw_cues(results: Sequence[CueResult], limit: float, path: Path) -> None:
    """Bars of AUROC with 95 % intervals; below a cue, where that was measured, the same with defects blanked.

    Args:
        results: At least one; cues of one kind follow each other.
        limit: What the lower bound of a file cue must not exceed.
        path: PNG file to write.

    Raises:
        UserError: If it cannot be written.
    """
    kinds = [(kind, list(some)) for kind, some in groupby(results, lambda result: result.cue.kind)]
    heights = [HEADING + ROW * len(_bars(some)) for _, some in kinds]
    figure = Figure(figsize=(10, sum(heights) + HEADING), layout="constrained")
    figure.suptitle("AUROC of each cue alone, on boards (or images) that its model has not seen; 0.5 is guessing")
    rows = figure.subplots(len(kinds), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (kind, some) in zip(rows, kinds, strict=True):
        axes.set_title(HEADINGS[kind], loc="left", fontsize="medium")
        _draw(axes, _bars(some))
        if kind == "file":
            axes.axvline(limit, color=FAILED)
    rows[-1].set_xlim(0.4, 1.0)
    plain(rows)
    for axes in rows:
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
    save_figure(figure, path)


def _bars(results: Sequence[CueResult]) -> list[tuple[str, Auroc, str]]:
    """What stands beside each bar, how long it is, and its colour."""
    bars = []
    for result in results:
        colour = FAILED if result.failed else FILE if result.cue.kind == "file" else OTHER
        bars.append((result.cue.name, result.auroc, colour))
        if result.blanked is not None:
            bars.append(("defects blanked", result.blanked, BLANKED))
    return bars


def _draw(axes: Axes, bars: Sequence[tuple[str, Auroc, str]]) -> None:
    for place, (_, auroc, colour) in enumerate(bars):
        axes.barh(place, auroc.value - 0.5, left=0.5, height=0.6, color=colour)
        axes.plot([auroc.low, auroc.high], [place, place], "|-", color="black", linewidth=1.2)
        axes.annotate(
            str(auroc), (1.01, place), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.axvline(0.5, color="black", linewidth=0.8)
