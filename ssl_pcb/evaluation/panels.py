"""Whole images judged by overlapping windows, of which none is left out: missed boxes, and false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.tiling import box_share

HOLDS = 0.5
"""Share of a box that a window must hold to find it, as for the tiles of training."""


@dataclass(frozen=True)
class PanelCount:
    """What came of one image.

    Attributes:
        boxes: Defect boxes.
        missed: Of them, those that no window of a verdict other than OK holds.
        alarms: False alarms: windows of verdict NG that touch no box, of which those that overlap count as one.
    """

    boxes: int
    missed: int
    alarms: int


def count_panel(
    windows: Sequence[Box], scores: ArrayLike, boxes: Sequence[Box], verdicts: ThreeWay, holds: float = HOLDS
) -> PanelCount:
    """Count the misses and false alarms of one image.

    A window that touches a box without holding enough of it neither finds the box nor counts as an alarm.

    Args:
        windows: (W,) boxes that cover the image.
        scores: (W,) of the windows.
        boxes: Of the defects, in the same pixels.
        verdicts: The thresholds.
        holds: Share of a box that a window must hold.
    """
    values = np.asarray(scores, np.float64)
    shares = np.array([[box_share(box, window) for box in boxes] for window in windows]).reshape(len(windows), -1)
    found = (shares[values >= verdicts.low] >= holds).any(0)
    false = (values >= verdicts.high) & ~(shares > 0).any(1)
    return PanelCount(len(boxes), int((~found).sum()), _groups(np.asarray(windows, np.float64)[false]))


def _groups(windows: NDArray[np.float64]) -> int:
    """Number of heaps of windows (W, 4) that overlap, directly or through others."""
    if not len(windows):
        return 0
    x1, y1, x2, y2 = windows.T
    overlap = (x1[:, None] < x2) & (x1 < x2[:, None]) & (y1[:, None] < y2) & (y1 < y2[:, None])
    return int(connected_components(coo_array(overlap), directed=False)[0])
