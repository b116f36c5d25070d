"""Sheets of pictures with outlined defects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ssl_pcb.audit.augmentations import IN_VIEW
from ssl_pcb.audit.view_measures import Point
from ssl_pcb.data.files import whole_file

TILE, GAP, BLOCK_GAP, HEADER = 128, 4, 22, 34
KEPT, CUT, INK, PAPER, EDGE = (0, 170, 95), (225, 30, 45), (25, 25, 25), (255, 255, 255), (60, 120, 255)
FRAME = (190, 190, 190)


@dataclass(frozen=True)
class Tile:
    """A picture of the sheet.

    Attributes:
        pixels: (C, S, S) in [0, 1].
        outlines: Of its defects, in its pixels.
        shares: Of each defect, what the picture shows of it.
        note: What stands in its corner.
        faulty: Whether the note tells of a fault.
        aside: Share of its side, all round, that surrounds the sample; a line goes around the sample itself.
    """

    pixels: Tensor
    outlines: list[list[Point]]
    shares: list[float]
    note: str = ""
    faulty: bool = False
    aside: float = 0.0


def draw_blocks(blocks: Mapping[str, Sequence[Sequence[Tile]]]) -> Image.Image:
    """Blocks of rows of tiles side by side, each under its heading."""
    starts, x = {}, GAP
    for name, rows in blocks.items():
        starts[name] = x
        x += len(rows[0]) * (TILE + GAP) - GAP + BLOCK_GAP
    height = HEADER + len(next(iter(blocks.values()))) * (TILE + GAP)
    sheet = Image.new("RGB", (x - BLOCK_GAP + GAP, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for name, rows in blocks.items():
        width = len(rows[0]) * (TILE + GAP) - GAP
        pen.text((starts[name] + width / 2, HEADER / 2), name, INK, font, anchor="mm")
        for row, tiles in enumerate(rows):
            for column, tile in enumerate(tiles):
                corner = starts[name] + column * (TILE + GAP), HEADER + row * (TILE + GAP)
                sheet.paste(draw_tile(tile), corner)
                # Around it: pictures of white ground would run into one another.
                pen.rectangle([side + by for by in (-1, TILE) for side in corner], outline=FRAME)
    return sheet


def draw_tile(tile: Tile) -> Image.Image:
    """The picture with its outlines and its note, :data:`TILE` pixels wide."""
    pixels = (tile.pixels.permute(1, 2, 0) * 255).round().byte().numpy()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    scale = TILE / picture.width
    # Drawn at twice the size and reduced, for smooth lines.
    picture = picture.resize((2 * TILE, 2 * TILE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    if tile.aside:
        near, far = round(2 * TILE * tile.aside), round(2 * TILE * (1 - tile.aside))
        pen.rectangle((near - 2, near - 2, far + 1, far + 1), outline=EDGE, width=2)
    for outline, share in zip(tile.outlines, tile.shares, strict=True):
        points = [(2 * scale * x, 2 * scale * y) for x, y in [*outline, outline[0], outline[1]]]
        pen.line(points, PAPER, 9, joint="curve")
        pen.line(points, KEPT if share >= IN_VIEW else CUT, 5, joint="curve")
    if min(tile.shares, default=1) < IN_VIEW:
        _mark_cut(pen, tile)
    if tile.note:
        _label(pen, (2 * TILE - 14, 12), tile.note, "ra", CUT if tile.faulty else INK)
    return picture.resize((TILE, TILE), Image.Resampling.BOX)


def _mark_cut(pen: ImageDraw.ImageDraw, tile: Tile) -> None:
    side = 2 * TILE
    pen.rectangle((0, 0, side - 1, side - 1), outline=CUT, width=8)
    worst = min(tile.shares)
    text = f"{worst:.0%} left"
    if max(tile.shares) < 0.005:
        text = "lost"
    elif len(tile.shares) > 1:
        text = f"{sum(share < IN_VIEW for share in tile.shares)} of {len(tile.shares)} cut"
    # Away from what is left of the defect.
    low = sum(y for _, y in tile.outlines[tile.shares.index(worst)]) / 4 > tile.pixels.shape[-1] / 2
    at, anchor = ((16, 12), "la") if low else ((16, side - 14), "ls")
    _label(pen, at, text, anchor, CUT)


def _label(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, anchor: str, colour: tuple[int, int, int]) -> None:
    font = ImageFont.load_default(34)
    left, top, right, bottom = pen.textbbox(at, text, font, anchor)
    pen.rectangle((left - 8, top - 6, right + 8, bottom + 8), fill=colour)
    pen.text(at, text, PAPER, font, anchor)


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    with whole_file(path) as part:
        sheet.save(part, format="PNG", optimize=True)
