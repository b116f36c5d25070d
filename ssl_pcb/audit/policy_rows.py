"""A sheet whose rows are augmentations and whose columns are samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from ssl_pcb.audit.drawing import CUT, EDGE, GAP, INK, KEPT, PAPER, TILE, Tile, draw_tile

APART, LINE, MARK, SIZE = 12, 24, 14, 17
"""Pixels: around names and between augmentations, a line of the legend, its marks, and letters."""

OUTLINES = (
    (KEPT, "the defect is in the picture, at least 95 % of it"),
    (CUT, "some of the defect is cut off or hidden"),
)
AROUND = (EDGE, "around the sample itself; outside of this line is what surrounds it")
Legend = Sequence[tuple[tuple[int, int, int], str]]


def draw_rows(blocks: Mapping[str, Sequence[Sequence[Tile]]], legend: Legend) -> Image.Image:
    """One or several rows of tiles for each name, which stands left of them; below all, what the colours mean.

    Args:
        blocks: Name to rows, all of as many tiles.
        legend: A colour and its meaning each; the edge of samples within surroundings is added.
    """
    if next(iter(blocks.values()))[0][0].aside:
        legend = [*legend, AROUND]
    font = ImageFont.load_default(SIZE)
    left, columns = round(max(map(font.getlength, blocks))) + 2 * APART, len(next(iter(blocks.values()))[0])
    heights = [len(rows) * (TILE + GAP) - GAP + APART for rows in blocks.values()]
    size = left + columns * (TILE + GAP), sum(heights) + APART + len(legend) * LINE
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    top = APART
    for (name, rows), height in zip(blocks.items(), heights, strict=True):
        pen.text((left - APART, top + (height - APART) / 2), name, INK, font, anchor="rm")
        for row, tiles in enumerate(rows):
            for column, tile in enumerate(tiles):
                sheet.paste(draw_tile(tile), (left + column * (TILE + GAP), top + row * (TILE + GAP)))
        top += height
    for line, (colour, meaning) in enumerate(legend):
        y = top + line * LINE
        pen.rectangle((left, y, left + MARK, y + MARK), colour)
        pen.text((left + MARK + APART, y + MARK / 2), meaning, INK, font, anchor="lm")
    return sheet
