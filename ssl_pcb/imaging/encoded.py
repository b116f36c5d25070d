"""Image files that lie in memory, as members of an archive do, and pictures encoded anew."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ssl_pcb.imaging.orientation import Image8

REENCODED = 90
"""JPEG quality at which tested and golden images are encoded anew where they are compared."""


@dataclass(frozen=True)
class Encoded:
    """The bytes of an image file, to be decoded like a file on disk.

    Attributes:
        name: What messages call it.
        data: The file's contents.
    """

    name: str
    data: bytes

    def open(self, mode: str = "rb") -> io.BytesIO:
        """The contents as an open file; there is no other mode than ``rb``."""
        return io.BytesIO(self.data)

    def read_bytes(self) -> bytes:
        """The contents."""
        return self.data

    def __str__(self) -> str:
        return self.name


ImageFile = Path | Encoded
"""What can be decoded."""


def reencoded(image: Image8, quality: int) -> Image8:
    """``image`` after JPEG compression, so that pictures from files of different kinds have its traces in common.

    Args:
        image: uint8 (H, W, C).
        quality: 1 to 95, as Pillow counts it.
    """
    held = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(held, "JPEG", quality=quality, subsampling=0)
    with Image.open(held) as found:
        return np.asarray(found).reshape(image.shape)
