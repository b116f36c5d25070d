"""EXIF orientation: pixels and boxes from how they are stored to how they are meant to be seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Box = tuple[float, float, float, float]
"""``x1, y1, x2, y2`` in pixels, x to the right, y down, x2 and y2 exclusive."""

Image8 = npt.NDArray[np.uint8]
"""An image, uint8 of shape (H, W, C) with C = 1 or 3."""


def swaps_sides(orientation: int) -> bool:
    """Whether this EXIF orientation (1 to 8) makes an image's width its height."""
    return orientation >= 5


def turn_pixels(stored: npt.NDArray[np.generic], orientation: int) -> npt.NDArray[np.generic]:
    """Turn a stored image upright.

    Args:
        stored: (H, W) or (H, W, C), as the file stores it.
        orientation: EXIF tag 274, 1 to 8.

    Returns:
        A view of ``stored``, (H, W, ...) or (W, H, ...).
    """
    if swaps_sides(orientation):
        stored = stored.swapaxes(0, 1)
    rows, columns = _flips(orientation)
    return stored[:: -1 if rows else 1, :: -1 if columns else 1]


def turn_boxes(boxes: Iterable[Box], orientation: int, width: int, height: int) -> list[Box]:
    """Turn boxes along with :func:`turn_pixels`.

    Args:
        boxes: Boxes in pixels of the stored image.
        orientation: EXIF tag 274, 1 to 8.
        width: Width of the *stored* image in pixels.
        height: Height of the *stored* image in pixels.

    Returns:
        The same boxes in pixels of the upright image.
    """
    rows, columns = _flips(orientation)
    turned = []
    for x1, y1, x2, y2 in boxes:
        sides, size = ((x1, x2), (y1, y2)), (width, height)
        if swaps_sides(orientation):
            sides, size = (sides[1], sides[0]), (height, width)
        left, right = _flip(*sides[0], size[0]) if columns else sides[0]
        top, bottom = _flip(*sides[1], size[1]) if rows else sides[1]
        turned.append((left, top, right, bottom))
    return turned


def _flips(orientation: int) -> tuple[bool, bool]:
    """Whether rows and columns are reversed, after the sides were swapped where they are."""
    return orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)


def _flip(low: float, high: float, size: int) -> tuple[float, float]:
    return size - high, size - low
