"""Images of more than 8 bits: reading them without loss and bringing them to 8."""

from __future__ import annotations

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image

from ssl_pcb.errors import BitDepthError, UserError
from ssl_pcb.imaging.encoded import ImageFile
from ssl_pcb.imaging.orientation import Image8, turn_pixels

DEPTHS = (8, 10, 12, 14, 16)
"""Significant bits that cameras deliver."""

# What Pillow calls images whose 16-bit samples it cuts to 8; the others it reads whole.
_CUT_BY_PILLOW = ("RGB", "RGBA", "RGBX", "LA", "L")
_WHOLE_IN_PILLOW = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def stored_depth(image: Image.Image, path: ImageFile) -> int:
    """Bits per sample that an opened file declares: 8, or 9 to 16 for what needs a 16-bit container."""
    if image.format == "PNG":
        with path.open("rb") as file:
            declared = file.read(25)[24]
    elif image.format == "TIFF":
        declared = max(image.tag_v2.get(258, (1,)))  # type: ignore[attr-defined]
    else:
        return 8
    if image.mode == "F" or declared > 16:
        raise UserError(f"{path}: has {declared}-bit pixels; save it with 8 or 16 bits")
    return declared if declared > 8 and image.mode in (*_CUT_BY_PILLOW, *_WHOLE_IN_PILLOW) else 8


def read_deep(image: Image.Image, path: ImageFile, orientation: int) -> npt.NDArray[np.uint16]:
    """All bits of an opened image with more than 8, upright.

    Args:
        image: The opened file, not loaded yet.
        path: The file.
        orientation: Its EXIF orientation, 1 to 8.

    Returns:
        uint16 of shape (H, W, C), C = 1 or 3 (alpha dropped).
    """
    array: npt.NDArray[np.generic]
    if image.format == "PNG":
        array = turn_pixels(imagecodecs.png_decode(path.read_bytes()), orientation)
    elif image.mode in _CUT_BY_PILLOW:
        array = turn_pixels(_read_deep_tiff(image, path), orientation)
    else:
        array = np.asarray(image)  # Pillow turns TIFF upright by itself
    if array.min(initial=0) < 0 or array.max(initial=0) > 65535:
        raise UserError(f"{path}: has pixels outside 0 to 65535; save it with 16 unsigned bits")
    array = array.reshape(*array.shape[:2], -1)
    return array[..., : 3 if array.shape[2] >= 3 else 1].astype(np.uint16, copy=False)


def _read_deep_tiff(image: Image.Image, path: ImageFile) -> npt.NDArray[np.generic]:
    planes = image.tag_v2.get(284, 1) == 2  # type: ignore[attr-defined]
    image.load()  # Pillow refuses a truncated file, of which libtiff returns zeros
    array: npt.NDArray[np.generic] = imagecodecs.tiff_decode(path.read_bytes())
    return np.moveaxis(array, 0, -1) if planes and array.ndim == 3 else array


def to_eight_bits(array: npt.NDArray[np.uint16], bit_depth: int, path: ImageFile) -> Image8:
    """Keep the upper 8 of ``bit_depth`` significant bits (8 to 16); shape unchanged.

    Raises:
        BitDepthError: If a value needs more bits than stated.
    """
    highest = int(array.max(initial=0))
    if highest >> bit_depth:
        raise BitDepthError(
            f"{path}: holds the value {highest}, which {bit_depth} bits cannot; "
            f"set data.bit_depth to {significant(highest)}"
        )
    return (array >> (bit_depth - 8)).astype(np.uint8)


def significant(highest: int) -> int:
    """The smallest of :data:`DEPTHS` that holds the value ``highest`` (0 to 65535)."""
    return next(depth for depth in DEPTHS if highest < 1 << depth)
