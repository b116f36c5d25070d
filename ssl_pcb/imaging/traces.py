"""What an image file tells besides its picture: how, from what and by whom it was saved."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ssl_pcb.imaging.decode import MAX_PIXELS, opened
from ssl_pcb.imaging.encoded import Encoded

_MAKER_TAGS = (271, 272, 305)
"""EXIF: make, model, software."""

_TOLD_WITH_VALUE = ("dpi", "jfif_version")
"""Header fields of which the value, and not only the presence, tells who saved a file."""


@dataclass(frozen=True)
class FileTraces:
    """Traces of how an image file was saved. Texts are as the file has them and not to be trusted.

    Attributes:
        bytes: Size of the file.
        ending: File name ending, in lower case.
        format: ``JPEG``, ``PNG`` and so on.
        mode: Pillow's mode: grey, colour, palette, alpha, 16 bits.
        width: Stored width in pixels.
        height: Stored height in pixels.
        tables: Short hash of the JPEG quantisation tables; empty for other formats.
        coarseness: Mean entry of those tables, the coarser the picture the higher; 0 for other formats.
        encoding: Chroma sampling and progression of a JPEG, compression of a TIFF; else empty.
        metadata: Which header fields are there, and resolution.
        exif: Numbers of the EXIF tags that are there.
        maker: Camera make, model and software, as EXIF names them.
    """

    bytes: int
    ending: str
    format: str
    mode: str
    width: int
    height: int
    tables: str
    coarseness: float
    encoding: str
    metadata: str
    exif: str
    maker: str


def file_traces(path: Path, content: bytes, max_pixels: int = MAX_PIXELS) -> FileTraces:
    """Read the header of an image file; no pixel is decoded.

    Args:
        path: Its name.
        content: What it holds.
        max_pixels: Refuse larger images.

    Raises:
        UserError: If it is no image, or larger than ``max_pixels``.
    """
    with opened(Encoded(str(path), content), max_pixels) as image:
        tables = getattr(image, "quantization", {})
        entries = [value for number in sorted(tables) for value in tables[number]]
        exif = _exif(image)
        return FileTraces(
            bytes=len(content),
            ending=path.suffix.lower(),
            format=str(image.format),
            mode=image.mode,
            width=image.width,
            height=image.height,
            tables=hashlib.sha256(repr(entries).encode()).hexdigest()[:6] if entries else "",
            coarseness=float(np.mean(entries)) if entries else 0.0,
            encoding=_encoding(image),
            metadata=" ".join(sorted(_field(key, value) for key, value in image.info.items())),
            exif=" ".join(str(tag) for tag in sorted(exif)),
            maker=" ".join(str(exif[tag]) for tag in _MAKER_TAGS if tag in exif),
        )


def _exif(image: Image.Image) -> dict[int, object]:
    try:
        # The PNG class's own getexif decodes the whole image to find an eXIf chunk behind the pixels.
        return dict(Image.Image.getexif(image))
    except Exception:  # a broken EXIF block makes no broken image
        return {}


def _encoding(image: Image.Image) -> str:
    if image.format == "JPEG":
        factors = " ".join(f"{across}x{down}" for _, across, down, _ in getattr(image, "layer", ()))
        return factors + (" progressive" if "progressive" in image.info else "")
    return str(image.info.get("compression", "")) if image.format == "TIFF" else ""


def _field(key: object, value: object) -> str:
    return f"{key}={value}" if key in _TOLD_WITH_VALUE else str(key)
