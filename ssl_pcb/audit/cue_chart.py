"""A picture of how well each cue tells the label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

from ssl_pcb.audit.cues import Kind
from ssl_pcb.audit.drawing import CUT, INK, PAPER
from ssl_pcb.audit.shortcuts import Auroc, CueResult

ROW, HEADING, TOP, BOTTOM = 24, 40, 40, 34
LEFT, PLOT, RIGHT = 220, 480, 190
LOWEST = 0.4
"""AUROC at the plot's left edge; the right one is at 1."""

FILE, OTHER, BLANKED, GRID = (70, 130, 180), (120, 120, 120), (205, 150, 60), (225, 225, 225)
HEADINGS: dict[Kind, str] = {
    "file": "file cues: fail where the whole interval lies right of the red line (of the ochre bar too)",
    "position": "position cues: reported",
    "content": "content cues: reported (below each, in ochre, with defects blanked)",
}


def draw_cues(results: Sequence[CueResult], limit: float) -> Image.Image:
    """Bars of AUROC with 95 % intervals.

    Args:
        results: Cues of one kind follow each other.
        limit: What the lower bound of a file cue must not exceed.
    """
    kinds = [(kind, list(some)) for kind, some in groupby(results, lambda result: result.cue.kind)]
    bars = sum(1 + (result.blanked is not None) for result in results)
    sheet = Image.new("RGB", (LEFT + PLOT + RIGHT, TOP + len(kinds) * HEADING + bars * ROW + BOTTOM), PAPER)
    pen, y = ImageDraw.Draw(sheet), TOP
    title = "AUROC of each cue alone on boards (or images) that its model has not seen; 0.5 is guessing"
    pen.text((12, 20), title, INK, ImageFont.load_default(16), "lm")
    for kind, some in kinds:
        pen.text((12, y + HEADING / 2 + 4), HEADINGS[kind], INK, ImageFont.load_default(15), "lm")
        y += HEADING
        height = ROW * sum(1 + (result.blanked is not None) for result in some)
        _grid(pen, y, height, limit if kind == "file" else None)
        for result in some:
            pen.text((LEFT - 10, y + ROW / 2), result.cue.name, INK, ImageFont.load_default(14), "rm")
            _bar(pen, y, result.auroc, CUT if result.failed else FILE if kind == "file" else OTHER)
            y += ROW
            if result.blanked is not None:
                _bar(pen, y, result.blanked, BLANKED)
                y += ROW
    for tenth in range(4, 11):
        pen.text((_x(tenth / 10), y + 14), f"{tenth / 10:g}", INK, ImageFont.load_default(13), "mm")
    return sheet


def _grid(pen: ImageDraw.ImageDraw, top: int, height: int, limit: float | None) -> None:
    for tenth in range(4, 11):
        pen.line((_x(tenth / 10), top, _x(tenth / 10), top + height), INK if tenth == 5 else GRID)
    if limit is not None:
        pen.line((_x(limit), top, _x(limit), top + height), CUT, 2)


def _bar(pen: ImageDraw.ImageDraw, top: int, auroc: Auroc, colour: tuple[int, int, int]) -> None:
    left, right = sorted((_x(0.5), _x(auroc.value)))
    pen.rectangle((left, top + 5, right, top + ROW - 6), colour)
    middle = top + ROW / 2
    if auroc.low == auroc.low:  # a number
        pen.line((_x(auroc.low), middle, _x(auroc.high), middle), INK, 2)
        for end in (auroc.low, auroc.high):
            pen.line((_x(end), middle - 5, _x(end), middle + 5), INK, 2)
    pen.text((LEFT + PLOT + 14, middle), str(auroc), INK, ImageFont.load_default(14), "lm")


def _x(value: float) -> float:
    return LEFT + PLOT * (min(max(value, LOWEST), 1.0) - LOWEST) / (1 - LOWEST)
