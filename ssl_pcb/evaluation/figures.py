"""What all charts have in common: colours, plain axes, and how they are saved."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_pcb.data.files import whole_file

ESCAPES, FALSE_CALLS, GREY = "#c0392b", "#2a6f97", "#8a8a8a"
"""Of missed defects and of anything that fails; of stopped good samples; of what is only for reference."""

DPI = 110


def plain(axes: Iterable[Axes]) -> None:
    """A faint grid, and no frame but left and below."""
    for each in axes:
        each.grid(alpha=0.25)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=DPI)
