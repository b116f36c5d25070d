"""Where an image differs from its golden image, on a machine without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ssl_pcb.imaging.orientation import Image8

SLACK = 1
"""Pixels by which an edge may lie elsewhere without counting as a difference."""

SMOOTHED, SEEN = 3, 5
"""Sides of the square over which differences are averaged, and of the least place that must differ to count in full."""


def template_difference(image: Image8, golden: Image8) -> float:
    """How far the place that differs most is from the golden image, in [0, 1].

    The measure of ``linear-eval --references``, of one image: :func:`ssl_pcb.augment.difference.difference` works on
    batches of tensors, and its greatest average over squares of :data:`SEEN` pixels is the score.

    Args:
        image: uint8 (S, S, C).
        golden: uint8 (S, S, C), aligned with it.
    """
    beyond = np.maximum(_beyond(image, golden), _beyond(golden, image)).max(-1) / 255
    smooth = _averages(np.pad(beyond, SMOOTHED // 2, mode="edge"), SMOOTHED)
    return float(_averages(smooth, SEEN).max())


def _beyond(image: Image8, other: Image8) -> NDArray[np.int16]:
    """How far pixels lie outside the range of their surroundings in ``other``."""
    side = 2 * SLACK + 1
    highest, lowest = (_ranked(other, kind(side)) for kind in (ImageFilter.MaxFilter, ImageFilter.MinFilter))
    values = image.astype(np.int16)
    return np.asarray(np.maximum(values - highest, lowest - values).clip(0))


def _ranked(image: Image8, chosen: ImageFilter.Filter) -> NDArray[np.int16]:
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return np.asarray(picture.filter(chosen)).reshape(image.shape).astype(np.int16)


def _averages(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Means over all squares of ``side`` pixels that lie inside."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, (side, side)).mean((-2, -1)))
