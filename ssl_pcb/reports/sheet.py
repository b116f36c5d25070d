"""Rows of pictures below each other, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ssl_pcb.data.files import whole_file

TILE, GAP, HEADER, FOOTER = 128, 6, 26, 24
INK, PAPER = (25, 25, 25), (255, 255, 255)


def draw_sheet(rows: Mapping[str, Tensor], captions: Sequence[str], path: Path) -> None:
    """Draw each row of images (B, C, S, S) in [0, 1] under its title, and a caption below each column.

    Raises:
        UserError: If the file cannot be written.
    """
    sheet = _sheet({title: _pictures(images) for title, images in rows.items()}, captions)
    with whole_file(path) as part:
        sheet.save(part, format="PNG", optimize=True)


def _sheet(rows: Mapping[str, list[Image.Image]], captions: Sequence[str]) -> Image.Image:
    font = ImageFont.load_default(16)
    titles = max(math.ceil(font.getlength(title)) for title in rows)
    width = max(GAP + len(captions) * (TILE + GAP), titles + 2 * GAP)
    sheet = Image.new("RGB", (width, len(rows) * (HEADER + TILE) + FOOTER), PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, (title, pictures) in enumerate(rows.items()):
        top = row * (HEADER + TILE)
        pen.text((GAP, top + HEADER / 2), title, INK, font, anchor="lm")
        for column, picture in enumerate(pictures):
            corner = GAP + column * (TILE + GAP), top + HEADER
            sheet.paste(picture, corner)
            pen.rectangle((corner[0], corner[1], corner[0] + TILE - 1, corner[1] + TILE - 1), outline=(170, 170, 170))
    for column, caption in enumerate(captions):
        at = GAP + column * (TILE + GAP) + TILE / 2, sheet.height - FOOTER / 2
        pen.text(at, caption, INK, ImageFont.load_default(14), anchor="mm")
    return sheet


def _pictures(images: Tensor) -> list[Image.Image]:
    # Enlarged pixels stay squares: a smoothed picture would flatter what was rebuilt.
    smaller = images.shape[-1] > TILE
    pixels: NDArray[np.uint8] = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    found = [Image.fromarray(each[..., 0] if each.shape[2] == 1 else each).convert("RGB") for each in pixels]
    method = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    return [picture.resize((TILE, TILE), method) for picture in found]
