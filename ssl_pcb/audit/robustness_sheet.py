"""A picture of robustness: error rates against severity, and what each corruption looks like."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image
from torch import Tensor

from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.audit.camera.scoring import CLEAN, Key
from ssl_pcb.audit.drawing import save_sheet
from ssl_pcb.audit.plot_cell import FINE, HEIGHT, PAPER, WIDTH, Cell, Curve
from ssl_pcb.audit.robustness import Hardship, Robustness

COLUMNS, SIDE, GAP = 5, 52, 22
"""Cells beside each other, and pixels left of each and between rows."""
SHOWN = (1, 3, 5)
"""Severities of the pictures."""
LINES = {"escape_rate": ((205, 92, 50), "escape rate"), "false_call_rate": ((70, 130, 180), "false-call rate")}
FLIPS = (110, 90, 160)
TOPS = (0.1, 0.2, 0.5, 1.0)
"""Where axes may end."""

Pictures = Mapping[Key, Tensor]
"""One sample (C, S, S) uint8 as it is, under each corruption at the severities shown, and shifted to the right."""


def draw_robustness(found: Robustness, pictures: Pictures, path: Path) -> None:
    """Write a PNG of a cell for each corruption and one for shifts.

    Raises:
        UserError: If it cannot be written.
    """
    count = len(found.hardships) + 2
    size = COLUMNS * (SIDE + WIDTH) + GAP, math.ceil(count / COLUMNS) * (HEIGHT + GAP) + GAP
    sheet = Image.new("RGB", (size[0] * FINE, size[1] * FINE), PAPER)
    cells = [
        Cell(sheet, SIDE + n % COLUMNS * (SIDE + WIDTH), GAP // 2 + n // COLUMNS * (HEIGHT + GAP)) for n in range(count)
    ]
    _draw_key(cells[0], found, pictures[CLEAN])
    top = _axis_end(level.rates[name] for each in found.hardships for level in each.levels for name in LINES)
    for cell, hardship in zip(cells[1:-1], found.hardships, strict=True):
        _draw_hardship(cell, hardship, found, top, pictures)
    _draw_shifts(cells[-1], found, pictures)
    save_sheet(sheet.resize(size, Image.Resampling.BOX), path)


def _axis_end(values: Iterable[float]) -> float:
    highest = max(values)
    return next(top for top in TOPS if highest <= top)


def _draw_key(cell: Cell, found: Robustness, clean: Tensor) -> None:
    cell.title(f"{found.judged:,} validation {found.unit}s, {found.defective:,} Defective")
    for row, (colour, name) in enumerate(LINES.values()):
        cell.key(row, colour, f"{name} at the fixed threshold")
    cell.key(2, FLIPS, "verdicts flipped by a shift")
    cell.line(3, "against severity; shaded: 95 % interval")
    cell.line(4, "trained on: an augmentation is like it")
    cell.thumbs([clean], ["as it is"])


def _draw_hardship(cell: Cell, hardship: Hardship, found: Robustness, top: float, pictures: Pictures) -> None:
    corruption = hardship.corruption
    cell.title(corruption.name.replace("_", " "), "trained on" if hardship.trained_on else "")
    curves = []
    for name, (colour, _) in LINES.items():
        base, changes = found.clean[name], [level.changes[name] for level in hardship.levels]
        low, high = ([base, *(base + getattr(each, end) for each in changes)] for end in ("low", "high"))
        curves.append(Curve(colour, [base, *(base + each.value for each in changes)], low, high))
    cell.plot(curves, top, ["clean", *(str(level.severity) for level in hardship.levels)])
    shown = [hardship.levels[severity - 1] for severity in SHOWN]
    cell.thumbs(
        [pictures[Key(corruption.name, level.severity)] for level in shown],
        [f"{level.severity}: {level.strength:g} {corruption.symbol}".rstrip() for level in shown],
    )
    cell.note(corruption.meaning)


def _draw_shifts(cell: Cell, found: Robustness, pictures: Pictures) -> None:
    cell.title("shift", "trained on" if found.shifts_trained_on else "")
    ends = [each.flips.interval() for each in found.shifts]
    low, high = ([each[end] for each in ends] for end in (0, 1))
    curve = Curve(FLIPS, [each.flips.value for each in found.shifts], low, high)
    cell.plot([curve], _axis_end(high), [f"{each.pixels} px" for each in found.shifts])
    shown = [each.pixels for each in found.shifts[1:]]
    cell.thumbs([pictures[Key(SHIFT, pixels)] for pixels in shown], [f"{pixels} px" for pixels in shown])
