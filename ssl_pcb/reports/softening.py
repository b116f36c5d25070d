"""A picture of how a temperature spreads probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ssl_pcb.data.files import whole_file
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.decision.calibration import sigmoid

PANEL, GAP, SIDE, HEADER, FOOTER = 200, 28, 115, 66, 58
"""Pixels: a histogram's side, and what lies between two, to the left, above and below."""

BINS = 20
INK, GREY, PAPER = (25, 25, 25), (150, 150, 150), (255, 255, 255)
COLOURS = {"Defective": (205, 92, 50), "NonDefective": (70, 130, 180)}
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
    sheet = Image.new("RGB", (SIDE + len(temperatures) * (PANEL + GAP), HEADER + PANEL + FOOTER), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    title = f"P(Defective) of {len(labels):,} validation samples, logits divided by T; bars are shares of a class"
    pen.text((SIDE, 18), title, INK, font, "lm")
    for row, (name, colour) in enumerate(COLOURS.items()):
        pen.text((SIDE - 10, HEADER + PANEL * (row + 0.5) / 2), name, colour, font, "rm")
    for column, temperature in enumerate(temperatures):
        left = SIDE + column * (PANEL + GAP)
        probabilities = sigmoid(log_odds / temperature)
        unsure = np.mean((probabilities > 0.1) & (probabilities < 0.9))
        above = f"T = {temperature:.3g}" + (" (of this network)" if temperature == used else "")
        pen.text((left + PANEL / 2, HEADER - 14), above, INK, font, "mm")
        pen.text((left + PANEL / 2, sheet.height - 18), f"{unsure:.0%} between 0.1 and 0.9", INK, font, "mm")
        _draw_histogram(pen, left, probabilities, labels)
    with whole_file(path) as part:
        sheet.save(part, format="PNG", optimize=True)


def _draw_histogram(
    pen: ImageDraw.ImageDraw, left: int, probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> None:
    middle, step = HEADER + PANEL // 2, PANEL / BINS
    for (name, colour), direction in zip(COLOURS.items(), (-1, 1), strict=True):
        found = probabilities[labels == LABELS.index(name)]
        heights = np.histogram(found, BINS, (0, 1))[0] / max(len(found), 1) * (PANEL // 2 - 2)
        for place in np.flatnonzero(heights):
            top, bottom = sorted((middle, middle + direction * max(round(heights[place]), 1)))
            pen.rectangle((left + place * step + 1, top, left + (place + 1) * step - 1, bottom), colour)
    pen.line((left, middle, left + PANEL, middle), GREY)
    pen.rectangle((left, HEADER, left + PANEL, HEADER + PANEL), outline=GREY)
    for value in (0, 0.5, 1):
        pen.text((left + value * PANEL, HEADER + PANEL + 13), f"{value:g}", INK, ImageFont.load_default(13), "mm")
