"""Image files to upright uint8 arrays: the one way in, for training and prediction alike.

What cannot be read raises :class:`~ssl_pcb.errors.UserError` with one line that names the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import (  # named plugins spare the import of all others
    Image,
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from ssl_pcb.errors import UserError
from ssl_pcb.imaging.depth import read_deep, significant, stored_depth, to_eight_bits
from ssl_pcb.imaging.encoded import Encoded, ImageFile
from ssl_pcb.imaging.orientation import Image8, swaps_sides, turn_boxes, turn_pixels
from ssl_pcb.imaging.pages import refuse_several

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageInfo",
    "decode",
    "decode_for_cut",
    "opened",
    "probe",
    "significant_bits",
    "turn_boxes",
    "with_channels",
]

MAX_PIXELS = 300_000_000
"""Largest image that is decoded unless told otherwise: a 16k x 16k panel and some room."""

SUFFIXES = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""File name endings, in lower case, that count as images where a folder is searched."""

# Only formats that are decoded in-process from the file alone: no EPS, no PDF, no outside references.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # MPO opens as JPEG
_GREY_MODES = ("1", "L", "LA", "La")

# Pillow's limit would refuse or warn about large panels, at opening and again at cropping; every file is
# measured here against max_pixels instead, before a pixel of it is decoded.
Image.MAX_IMAGE_PIXELS = None
# A damaged EXIF or TIFF tag is no fault of the pixels; one line per file would drown the log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True)
class ImageInfo:
    """What a file's header says.

    Attributes:
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.
        channels: 1 (grey) or 3 (colour), without alpha.
        bits: Bits of a sample's container, 8 or 16.
        orientation: EXIF orientation, 1 to 8; from 5 on the stored sides are swapped.
    """

    width: int
    height: int
    channels: int
    bits: int
    orientation: int

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height as stored, before the EXIF orientation is applied."""
        return (self.height, self.width) if swaps_sides(self.orientation) else (self.width, self.height)


def probe(path: Path, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read an image file's header.

    Raises:
        UserError: If the file is missing, empty, no image, several of them, or larger than ``max_pixels``.
    """
    with opened(path, max_pixels) as image:
        return _info(image, path)


def decode(
    path: ImageFile, *, channels: int | None = None, bit_depth: int | None = None, max_pixels: int = MAX_PIXELS
) -> Image8:
    """Read an image file's image, upright and without alpha.

    Args:
        path: A jpg, png, tiff, bmp, gif or webp file, or one that lies in memory.
        channels: 1 converts colour to ITU-R 601 luma, 3 repeats grey; ``None`` keeps the file's own.
        bit_depth: Significant bits (8 to 16) of files with more than 8-bit samples, of which the upper 8
            are kept; ``None`` = what the file declares. No effect on 8-bit files.
        max_pixels: Refuse larger images before decoding.

    Returns:
        uint8 of shape (H, W, C), C = 1 or 3.

    Raises:
        UserError: If the file is missing, empty, truncated, no image, several of them, larger than ``max_pixels``,
            or holds values over the stated bit depth.
    """
    found = decode_for_cut(path, channels=channels, bit_depth=bit_depth, max_pixels=max_pixels)
    if isinstance(found, Image.Image):
        return np.array(found).reshape(found.height, found.width, -1)
    return np.ascontiguousarray(found)


def decode_for_cut(
    path: ImageFile, *, channels: int | None = None, bit_depth: int | None = None, max_pixels: int = MAX_PIXELS
) -> Image8 | Image.Image:
    """As :func:`decode`, as an array or as a Pillow picture of mode L or RGB, whichever the decoder gives.

    :func:`~ssl_pcb.imaging.resize.cut` takes both; from one to the other every pixel would be copied.
    """
    with opened(path, max_pixels) as image:
        info = _info(image, path)
        found: Image8 | Image.Image
        if info.bits == 16:
            depth = bit_depth or stored_depth(image, path)
            found = to_eight_bits(read_deep(image, path, info.orientation), depth, path)
        elif (plain := _plain_png(image, path)) is not None:
            found = turn_pixels(plain, info.orientation).view(np.uint8)
        else:
            # Pillow turns TIFF, and nothing else, while loading.
            orientation = 1 if image.format == "TIFF" else info.orientation
            found = _in_mode(image, info.channels)
            if orientation > 1:
                found = _as_picture(turn_pixels(np.asarray(found), orientation).view(np.uint8))
        wanted = channels or info.channels
        return found if wanted == info.channels else with_channels(found, wanted)


def with_channels(image: Image8 | Image.Image, channels: int) -> Image.Image:
    """An array (H, W), (H, W, 1) or (H, W, 3), or a picture, in grey (1, ITU-R 601 luma) or colour (3)."""
    return _in_mode(_as_picture(image), channels)


def significant_bits(path: ImageFile, max_pixels: int = MAX_PIXELS) -> int:
    """The smallest of 8, 10, 12, 14, 16 bits that holds the file's largest value.

    Raises:
        UserError: As :func:`decode`.
    """
    with opened(path, max_pixels) as image:
        info = _info(image, path)
        if info.bits == 8:
            return 8
        return significant(int(read_deep(image, path, info.orientation).max(initial=0)))


@contextmanager
def opened(path: ImageFile, max_pixels: int) -> Iterator[Image.Image]:
    """An image file whose header is read; whatever Pillow or a codec raises inside becomes a ``UserError``.

    Raises:
        UserError: As :func:`decode`.
    """
    try:
        # Given a file name, Pillow maps plain TIFFs into memory and garbles those with swapped sides.
        with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                fault = f"{path}: {image.width} x {image.height} pixels are more than the {max_pixels:,} allowed"
                raise UserError(
                    f"{fault} (an image bomb?); if the image is meant, raise --max-pixels or data.max_pixels",
                    fault=fault,
                )
            refuse_several(image, path)
            yield image
    except (UserError, MemoryError):
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error and others
        raise UserError(f"{path}: {_reason(path, error)}") from error


def _reason(path: ImageFile, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such image file"
    if isinstance(path, Path) and path.is_dir():
        return "is a folder, not an image file"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if _is_empty(path):
        return "empty file, not an image"
    if isinstance(error, UnidentifiedImageError):
        return "not an image (jpg, png, tiff, bmp, gif and webp are read)"
    detail = (str(error) or type(error).__name__).splitlines()[0]
    return f"damaged or truncated image ({detail})"


def _is_empty(path: ImageFile) -> bool:
    if isinstance(path, Encoded):
        return not path.data
    return path.is_file() and path.stat().st_size == 0


def _info(image: Image.Image, path: ImageFile) -> ImageInfo:
    orientation = _orientation(image, path)
    width, height = image.size
    if image.format == "TIFF":  # whose size Pillow may have swapped already
        width, height = image.tag_v2[256], image.tag_v2[257]  # type: ignore[attr-defined]
    if swaps_sides(orientation):
        width, height = height, width
    deep = stored_depth(image, path) > 8
    grey = image.mode in _GREY_MODES or image.mode.startswith("I")
    if deep and image.format == "PNG":  # Pillow opens 16-bit grey with alpha as RGBA
        grey = not _png_color_type(path) & 2
    return ImageInfo(width, height, 1 if grey else 3, 16 if deep else 8, orientation)


def _png_color_type(path: ImageFile) -> int:
    with path.open("rb") as file:
        return file.read(26)[25]


def _orientation(image: Image.Image, path: ImageFile) -> int:
    try:
        # The PNG class's own getexif decodes the whole image to find an eXIf chunk behind the pixels.
        exif = Image.Image.getexif(image)
        if 0x0112 not in exif and image.format == "PNG":
            exif = Image.Exif()
            exif.load(_late_png_exif(path))
        value = exif.get(0x0112)
    except Exception:  # a broken EXIF block makes no broken image
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _late_png_exif(path: ImageFile) -> bytes:
    """The eXIf chunk of a PNG file, wherever it stands; chunk heads are read, bodies skipped."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"eXIf":
                return file.read(length)
            file.seek(length + 4, 1)
    return b""


def _plain_png(image: Image.Image, path: ImageFile) -> Image8 | None:
    """The pixels (H, W, C) of a PNG file that stores them as they are, in two thirds of Pillow's time, or ``None``."""
    if image.format != "PNG":
        return None
    with path.open("rb") as file:
        depth, color_type, _, _, interlaced = file.read(29)[24:]
    if depth != 8 or color_type not in (0, 2) or interlaced:
        return None
    try:
        array: Image8 = imagecodecs.png_decode(path.read_bytes())
    except RuntimeError:  # Pillow says what is wrong, or knows better
        return None
    # A colour that counts as transparent comes as alpha.
    return array.reshape(image.height, image.width, -1)[..., : 3 if color_type else 1]


def _in_mode(picture: Image.Image, channels: int) -> Image.Image:
    picture.load()
    picture.info.pop("transparency", None)  # only makes Pillow warn while converting
    mode = "L" if channels == 1 else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _as_picture(found: Image8 | Image.Image) -> Image.Image:
    if isinstance(found, Image.Image):
        return found
    return Image.fromarray(found[..., 0] if found.ndim == 3 and found.shape[2] == 1 else found)
