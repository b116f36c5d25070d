"""Pictures as text that stands in a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl_pcb.imaging.heat import heat_colours

QUALITY = 80
LEGEND = (240, 20)
"""Width and height of the legend of heat maps."""


def picture(pixels: NDArray[np.uint8], most: int) -> str:
    """A sample (H, W, C), C = 1 or 3, as a data URI, at most ``most`` pixels wide."""
    return _uri(_smaller(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB"), most))


def shrunk(uri: str, most: int) -> str:
    """A picture that is a data URI, at most ``most`` pixels wide."""
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as opened:
        return uri if opened.width <= most else _uri(_smaller(opened.convert("RGB"), most))


def heat_picture(heat: NDArray[np.float32], most: int) -> str:
    """A heat map (H, W) in [0, 1] as a data URI: colours that are the less transparent the higher it is."""
    return _uri(_smaller(Image.fromarray(heat_colours(heat)), most))


def heat_legend() -> str:
    """What colours of heat maps mean, from 0 to 1, over black and white as pictures are, as a data URI."""
    ramp = np.tile(np.linspace(0, 1, LEGEND[0], dtype=np.float32), (LEGEND[1], 1))
    below = Image.new("RGBA", LEGEND, "white")
    below.paste("black", (0, LEGEND[1] // 2, *LEGEND))
    below.alpha_composite(Image.fromarray(heat_colours(ramp)))
    return _uri(below.convert("RGB"))


def sheet(file: Path, most: int = 1600) -> str:
    """A picture file as a data URI.

    Raises:
        OSError: If it cannot be read.
    """
    with Image.open(file) as opened:
        return _uri(_smaller(opened.convert("RGB"), most))


def _smaller(image: Image.Image, most: int) -> Image.Image:
    if image.width > most:
        image = image.resize((most, max(1, round(image.height * most / image.width))), Image.Resampling.LANCZOS)
    return image


def _uri(image: Image.Image) -> str:
    held = io.BytesIO()
    image.save(held, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(held.getvalue()).decode()
