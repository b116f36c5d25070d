"""A picture of robustness: error rates against severity, and what each corruption looks like."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.audit.camera.scoring import CLEAN, Key
from ssl_pcb.audit.robustness import Hardship, Robustness
from ssl_pcb.evaluation.figures import ESCAPES, FALSE_CALLS, plain, save_figure

COLUMNS, WIDTH, HEIGHT = 5, 3.1, 3.1
"""Cells beside each other, and inches of each."""

SHOWN = (1, 3, 5)
"""Severities of the pictures."""
LINES = {"escape_rate": (ESCAPES, "escape rate"), "false_call_rate": (FALSE_CALLS, "false-call rate")}
FLIPS = "#6e5aa0"
TOPS = (0.1, 0.2, 0.5, 1.0)
"""Where axes may end."""

Pictures = Mapping[Key, Tensor]
"""One sample (C, S, S) uint8 as it is, under each corruption at the severities shown, and shifted to the right."""


def draw_robustness(found: Robustness, pictures: Pictures, path: Path) -> None:
    """Write a PNG of a cell for each corruption and one for shifts.

    Raises:
        UserError: If it cannot be written.
    """
    save_figure(robustness_figure(found, pictures), path)


def robustness_figure(found: Robustness, pictures: Pictures) -> Figure:
    """The same as a figure, whose axes bear the corruptions' names in their titles."""
    rows = math.ceil((len(found.hardships) + 2) / COLUMNS)
    figure = Figure(figsize=(COLUMNS * WIDTH, rows * HEIGHT), layout="constrained")
    cells = figure.subfigures(rows, COLUMNS, squeeze=False).ravel()
    figure.suptitle(
        f"{found.judged:,} validation {found.unit}s, {found.defective:,} Defective: errors at the fixed "
        "threshold against severity. Shaded: 95 % interval. *: like an augmentation that it was trained on."
    )
    _draw_key(cells[0], pictures[CLEAN])
    top = _axis_end(level.rates[name] for each in found.hardships for level in each.levels for name in LINES)
    for cell, hardship in zip(cells[1:], found.hardships, strict=False):
        _draw_hardship(cell, hardship, found, top, pictures)
    _draw_shifts(cells[len(found.hardships) + 1], found, pictures)
    return figure


def _axis_end(values: Iterable[float]) -> float:
    highest = max(values)
    return next(top for top in TOPS if highest <= top)


def _draw_key(cell: SubFigure, clean: Tensor) -> None:
    axes, (picture,) = _cell(cell, 1)
    for colour, name in (*LINES.values(), (FLIPS, "verdicts flipped by a shift")):
        axes.plot([], [], "o-", color=colour, label=name)
    axes.legend(loc="center", frameon=False)
    axes.set_axis_off()
    _show(picture, clean, "the sample of all pictures, as it is")


def _draw_hardship(cell: SubFigure, hardship: Hardship, found: Robustness, top: float, pictures: Pictures) -> None:
    corruption, (axes, places) = hardship.corruption, _cell(cell, len(SHOWN))
    _title(axes, corruption.name.replace("_", " "), hardship.trained_on)
    for name, (colour, _) in LINES.items():
        base, changes = found.clean[name], [level.changes[name] for level in hardship.levels]
        low, high = ([base, *(base + getattr(each, end) for each in changes)] for end in ("low", "high"))
        _curve(axes, colour, [base, *(base + each.value for each in changes)], low, high)
    axes.set_xticks(range(len(hardship.levels) + 1), ["clean", *(str(level.severity) for level in hardship.levels)])
    axes.set_ylim(0, top)
    for place, severity in zip(places, SHOWN, strict=True):
        level = hardship.levels[severity - 1]
        label = f"{severity}: {level.strength:g} {corruption.symbol}".rstrip()
        _show(place, pictures[Key(corruption.name, severity)], label)
    cell.supxlabel(corruption.meaning, fontsize="x-small")


def _draw_shifts(cell: SubFigure, found: Robustness, pictures: Pictures) -> None:
    axes, places = _cell(cell, len(found.shifts) - 1)
    _title(axes, "shift", found.shifts_trained_on)
    low, high = zip(*(each.flips.interval() for each in found.shifts), strict=True)
    _curve(axes, FLIPS, [each.flips.value for each in found.shifts], low, high)
    axes.set_xticks(range(len(found.shifts)), [f"{each.pixels} px" for each in found.shifts])
    axes.set_ylim(0, _axis_end(high))
    for place, each in zip(places, found.shifts[1:], strict=True):
        _show(place, pictures[Key(SHIFT, each.pixels)], f"{each.pixels} px")
    cell.supxlabel("share of the verdicts that flip", fontsize="x-small")


def _cell(cell: SubFigure, pictures: int) -> tuple[Axes, list[Axes]]:
    """A plot, and below it places for pictures."""
    grid = cell.add_gridspec(2, pictures, height_ratios=(3, 2))
    axes = cell.add_subplot(grid[0, :])
    plain([axes])
    axes.tick_params(labelsize="small")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return axes, [cell.add_subplot(grid[1, place]) for place in range(pictures)]


def _title(axes: Axes, name: str, trained_on: Sequence[str]) -> None:
    axes.set_title(f"{name} *" if trained_on else name, fontsize="medium")


def _curve(axes: Axes, colour: str, values: Sequence[float], low: Sequence[float], high: Sequence[float]) -> None:
    axes.plot(values, "o-", color=colour, markersize=4, clip_on=False)
    if np.isfinite([low, high]).all():
        axes.fill_between(range(len(values)), np.clip(low, 0, 1), np.clip(high, 0, 1), color=colour, alpha=0.2)


def _show(place: Axes, picture: Tensor, label: str) -> None:
    values = picture.permute(1, 2, 0).cpu().numpy()
    place.imshow(values if values.shape[2] == 3 else values[..., 0], cmap="gray", vmin=0, vmax=255)
    place.set_xlabel(label, fontsize="x-small")
    place.set(xticks=[], yticks=[])
