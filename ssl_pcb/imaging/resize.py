"""Resizing with the aspect ratio kept, and cutting samples out of their source images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ssl_pcb.imaging.orientation import Box, Image8
from ssl_pcb.imaging.tiling import clip_box


@dataclass(frozen=True)
class Placement:
    """Where an image of kept aspect ratio lies in a square.

    Attributes:
        scale: Square pixels per image pixel along the longer side.
        top: Rows of the square above the image.
        left: Columns of the square left of the image.
        height: Rows that the image takes.
        width: Columns that the image takes.
    """

    scale: float
    top: int
    left: int
    height: int
    width: int


def place(height: int, width: int, size: int) -> Placement:
    """Centre a ``height`` x ``width`` image in a ``size`` x ``size`` square, its longer side filling it."""
    scale = size / max(height, width)
    inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
    return Placement(scale, (size - inner_height) // 2, (size - inner_width) // 2, inner_height, inner_width)


def resize(image: Image8, height: int, width: int) -> Image8:
    """Resize by an antialiasing triangle filter (no ringing at copper edges); a copy where nothing changes.

    Args:
        image: uint8 (H, W, C), C = 1 or 3.
        height: Rows wanted.
        width: Columns wanted.

    Returns:
        uint8 (height, width, C).
    """
    return _resample(image, height, width, (0.0, 0.0, float(image.shape[1]), float(image.shape[0])))


def cut(image: Image8 | Image.Image, crop: Box | None, size: int, margin: int) -> Image8:
    """A sample with its surroundings, for augmentations that move it without running out of image.

    The crop fills the central ``size`` x ``size`` square, its longer side resized to ``size``, the rest
    of the square its mirror image, evenly on both sides. Around it lie
    ``margin`` pixels of what surrounds the crop in the source image, at the same scale, and its mirror image
    beyond the image's end. Along the shorter side of a crop that is not square both the fill and the ring
    mirror the crop: real surroundings inside the square could show a defect that is not the sample's.

    Args:
        image: The source image, uint8 (H, W, C) or a picture of mode L or RGB.
        crop: The sample's part of it, rounded to whole pixels; ``None`` = the whole image.
        size: Side of the sample in pixels.
        margin: Width of the ring in pixels.

    Returns:
        uint8 (size + 2 * margin, size + 2 * margin, C).
    """
    x1, y1, x2, y2 = _rounded(crop) if crop else (0, 0, *size_of(image))
    placed = place(y2 - y1, x2 - x1, size)
    rows, row_box, extra_rows = _span(y1, y2, placed.height, size, margin)
    columns, column_box, extra_columns = _span(x1, x2, placed.width, size, margin)
    patch = _take(image, rows, columns)
    window = _resample(
        patch,
        placed.height + 2 * extra_rows,
        placed.width + 2 * extra_columns,
        (column_box[0], row_box[0], column_box[1], row_box[1]),
    )
    ringed = Placement(
        placed.scale,
        placed.top + margin - extra_rows,
        placed.left + margin - extra_columns,
        window.shape[0],
        window.shape[1],
    )
    return _pad(window, ringed, size + 2 * margin)


def size_of(image: Image8 | Image.Image) -> tuple[int, int]:
    """Width and height of an array (H, W, C) or of a picture."""
    return image.size if isinstance(image, Image.Image) else (image.shape[1], image.shape[0])


def map_boxes(
    boxes: Iterable[Box], crop: Box | None, source_size: tuple[int, int], size: int, context: int = 0
) -> list[Box]:
    """Boxes from source pixels to pixels of the ``size`` x ``size`` square that :func:`cut` centres.

    Args:
        boxes: Boxes in pixels of the source image.
        crop: The sample's part of the source image; ``None`` = all of it.
        source_size: Width and height of the source image.
        size: Side of the square in pixels.
        context: Pixels of it on each side that surround the sample itself.

    Returns:
        The part of each box that the sample shows; boxes that miss it are dropped.
    """
    frame = _rounded(crop) if crop else (0, 0, *source_size)
    placed = place(frame[3] - frame[1], frame[2] - frame[0], size - 2 * context)
    left, top = placed.left + context, placed.top + context
    across, down = placed.width / (frame[2] - frame[0]), placed.height / (frame[3] - frame[1])
    parts = (clip_box(box, frame) for box in boxes)
    return [
        (
            left + (x1 - frame[0]) * across,
            top + (y1 - frame[1]) * down,
            left + (x2 - frame[0]) * across,
            top + (y2 - frame[1]) * down,
        )
        for x1, y1, x2, y2 in (part for part in parts if part)
    ]


def _rounded(box: Box) -> tuple[int, int, int, int]:
    x1, y1 = round(box[0]), round(box[1])
    return x1, y1, max(round(box[2]), x1 + 1), max(round(box[3]), y1 + 1)


def _span(low: int, high: int, inner: int, size: int, margin: int) -> tuple[tuple[int, int], tuple[float, float], int]:
    """Along one axis: source pixels to take, the part of them to resample, and output pixels added a side."""
    if inner < size or margin == 0:
        return (low, high), (0.0, float(high - low)), 0
    reach = margin * (high - low) / inner
    whole = math.ceil(reach)
    return (low - whole, high + whole), (whole - reach, high - low + whole + reach), margin


def _take(image: Image8 | Image.Image, rows: tuple[int, int], columns: tuple[int, int]) -> Image8 | Image.Image:
    """Source rows and columns, mirrored where they lie outside (numpy's pad mode "symmetric")."""
    width, height = size_of(image)
    if rows[0] >= 0 and columns[0] >= 0 and rows[1] <= height and columns[1] <= width:
        return _part(image, columns[0], rows[0], columns[1], rows[1])
    top, bottom, *down = _mirrored(*rows, height)
    left, right, *across = _mirrored(*columns, width)
    inside = np.asarray(_part(image, left, top, right, bottom)).reshape(bottom - top, right - left, -1)
    mirrored = np.pad(inside, (down, across, (0, 0)), mode="symmetric")
    y, x = rows[0] - top + down[0], columns[0] - left + across[0]
    return mirrored[y : y + rows[1] - rows[0], x : x + columns[1] - columns[0]]


def _part(image: Image8 | Image.Image, x1: int, y1: int, x2: int, y2: int) -> Image8 | Image.Image:
    if not isinstance(image, Image.Image):
        return image[y1:y2, x1:x2]
    return image if (x1, y1, x2, y2) == (0, 0, *image.size) else image.crop((x1, y1, x2, y2))


def _mirrored(low: int, high: int, length: int) -> tuple[int, int, int, int]:
    """Of what mirroring reaches, the part inside (first, last + 1), and how far to mirror it before and after."""
    before, after = max(-low, 0), max(high - length, 0)
    first = min(max(low, 0), max(length - after, 0))
    return first, max(min(high, length), min(before, length)), before, after


def _resample(image: Image8 | Image.Image, height: int, width: int, box: Box) -> Image8:
    if box != (0.0, 0.0, float(width), float(height)) or size_of(image) != (width, height):
        if not isinstance(image, Image.Image):
            image = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        image = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.array(image).reshape(height, width, -1)


def _pad(image: Image8, placed: Placement, side: int) -> Image8:
    below, right = side - placed.top - placed.height, side - placed.left - placed.width
    if not (placed.top or placed.left or below or right):
        return image
    return np.pad(image, ((placed.top, below), (placed.left, right), (0, 0)), mode="symmetric")
