"""The eight symmetries of the square, by number: 4 and above are mirrored first, then all are turned."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

SYMMETRIES = (
    "as it is", "turned by 90", "turned by 180", "turned by 270",
    "mirrored", "mirrored, turned by 90", "mirrored, turned by 180", "mirrored, turned by 270",
)  # fmt: skip
"""Names; turns are in degrees, against the clock, mirroring is left to right."""


def turned(pictures: NDArray[Scalar], symmetry: int) -> NDArray[Scalar]:
    """A view of pictures (..., H, W) under a symmetry, with sides swapped where it turns by 90 or 270 degrees."""
    mirrored = pictures[..., ::-1] if symmetry >= 4 else pictures
    return np.rot90(mirrored, symmetry % 4, axes=(-2, -1))


def inverse(symmetries: NDArray[np.int64]) -> NDArray[np.int64]:
    """The symmetries (N,) that undo ``symmetries``: those that mirror undo themselves."""
    return np.where(symmetries < 4, -symmetries % 4, symmetries)
