"""Whether heat maps lie on the defects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.imaging.orientation import Box


def inside(boxes: Sequence[Box], size: int) -> NDArray[np.bool_]:
    """(size, size) whether the centre of each pixel lies in one of ``boxes``, which are in the same pixels."""
    centres = np.arange(size) + 0.5
    covered = np.zeros((size, size), bool)
    for x1, y1, x2, y2 in boxes:
        rows, columns = ((centres >= low) & (centres < high) for low, high in ((y1, y2), (x1, x2)))
        covered |= rows[:, None] & columns
    return covered


def pointing_hits(maps: NDArray[np.float64], covered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The pointing game (Zhang et al. 2018, arXiv 1608.00507), without its tolerance of 15 px.

    Args:
        maps: (N, H, W).
        covered: (N, H, W) whether a pixel lies in a defect.

    Returns:
        (N,) 1 where the map's peak lies in a defect, 0 where not. Of several equal peaks it is their share.
    """
    flat, held = maps.reshape(len(maps), -1), covered.reshape(len(maps), -1)
    peaks = flat == flat.max(1, keepdims=True)
    return np.asarray((peaks & held).sum(1) / peaks.sum(1), np.float64)


def energy_inside(maps: NDArray[np.float64], covered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The energy-based pointing game (Wang et al. 2020, arXiv 1910.01279): the share of a map that lies in defects.

    Args:
        maps: (N, H, W), at least 0.
        covered: (N, H, W) whether a pixel lies in a defect.

    Returns:
        (N,) in [0, 1]; of an empty map 0.
    """
    total = maps.sum((1, 2))
    return np.asarray((maps * covered).sum((1, 2)) / np.where(total > 0, total, 1), np.float64)
