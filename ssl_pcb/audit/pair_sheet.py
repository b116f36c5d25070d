"""Sheets of pictures in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from ssl_pcb.audit.drawing import FRAME, INK, PAPER
from ssl_pcb.imaging.orientation import Image8

SIDE, GAP, APART, LINE = 170, 6, 30, 19
"""Pixels: a picture's side unless given, between the two of a pair, between pairs, and a line of text."""

FAINT, BESIDE = (110, 110, 110), (235, 235, 235)


@dataclass(frozen=True)
class Pair:
    """Two pictures side by side.

    Attributes:
        pictures: uint8 (H, W, C) each.
        notes: Lines below each; names of files and boards are other people's text.
        heading: A line above both.
    """

    pictures: tuple[Image8, Image8]
    notes: tuple[Sequence[str], Sequence[str]]
    heading: str = ""


def draw_pairs(title: str, pairs: Sequence[Pair], columns: int = 3, side: int = SIDE) -> Image.Image:
    """Pairs of pictures of ``side`` pixels in rows of ``columns``; there must be at least one pair."""
    columns = min(columns, len(pairs))
    lines = max(len(notes) for pair in pairs for notes in pair.notes)
    above = 2 * LINE if any(pair.heading for pair in pairs) else LINE
    wide, high = 2 * side + GAP + APART, above + side + lines * LINE + APART // 2
    sheet = Image.new("RGB", (columns * wide, 34 + -(-len(pairs) // columns) * high), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((APART // 2, 18), _fitting(title, columns * wide - APART, 16), INK, ImageFont.load_default(16), "lm")
    for number, pair in enumerate(pairs):
        left, top = APART // 2 + number % columns * wide, 34 + number // columns * high
        pen.text((left, top + LINE), _fitting(pair.heading, 2 * side + GAP, 14), INK, ImageFont.load_default(14), "lm")
        for place, (picture, notes) in enumerate(zip(pair.pictures, pair.notes, strict=True)):
            x, y = left + place * (side + GAP), top + above - 4
            sheet.paste(_tile(picture, side), (x, y))
            for row, note in enumerate(notes):
                below = y + side + LINE * row + LINE / 2 + 2
                pen.text((x, below), _fitting(note, side, 12), FAINT, ImageFont.load_default(12), "lm")
    return sheet


def _tile(picture: Image8, side: int) -> Image.Image:
    shown = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).convert("RGB")
    scale = side / max(shown.size)
    size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
    # Enlarged pixels stay visible: they are what is compared.
    shown = shown.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST)
    tile = Image.new("RGB", (side, side), BESIDE)
    tile.paste(shown, ((side - size[0]) // 2, (side - size[1]) // 2))
    ImageDraw.Draw(tile).rectangle((0, 0, side - 1, side - 1), outline=FRAME)
    return tile


def _fitting(text: str, width: int, size: int) -> str:
    """The end of ``text`` that fits, on one line: names of files differ at their ends."""
    plain = "".join(char if char.isprintable() else "?" for char in text)
    font = ImageFont.load_default(size)
    if font.getlength(plain) <= width:
        return plain
    while plain and font.getlength("..." + plain) > width:
        plain = plain[1:]
    return "..." + plain
