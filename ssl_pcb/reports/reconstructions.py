"""A picture of what an autoencoder sees, should rebuild, and rebuilds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ssl_pcb.data.files import whole_file

TILE, GAP, HEADER, FOOTER = 128, 6, 26, 24
INK, PAPER = (25, 25, 25), (255, 255, 255)


def draw_reconstructions(inputs: Tensor, targets: Tensor, rebuilt: Tensor, path: Path) -> None:
    """Draw images below each other as a PNG: what went in, what should come out, what came out, and how far off.

    Args:
        inputs: (B, C, S, S) in [0, 1]; left out where they are the targets.
        targets: (B, C, S, S).
        rebuilt: (B, C, S, S).
        path: File to write.

    Raises:
        UserError: If the file cannot be written.
    """
    difference = (rebuilt - targets).abs()
    rows = {"what the network sees": inputs} if not inputs.equal(targets) else {}
    rows |= {
        "what it should rebuild": targets,
        f"what it rebuilds (mean squared error {(rebuilt - targets).square().mean():.4f})": rebuilt,
        "difference (white: none, black: from black to white), and its mean square": 1 - difference,
    }
    errors = [f"{value:.4f}" for value in (rebuilt - targets).square().mean((1, 2, 3)).tolist()]
    sheet = _sheet({title: _pictures(images) for title, images in rows.items()}, errors)
    with whole_file(path) as part:
        sheet.save(part, format="PNG", optimize=True)


def _sheet(rows: Mapping[str, list[Image.Image]], captions: list[str]) -> Image.Image:
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
