"""Whether one picture lies exactly on another, whatever has been done to its brightness."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVELS = 32
"""Brightnesses between which one picture's are mapped to the other's on straight lines."""

PARTS = 8
"""Parts a side in which a difference is looked for."""

MOVED = 16
"""A picture is moved by its longer side over this to see whether it still fits."""

SHARPNESS = 0.4
"""Most that a copy differs, in shares of what either picture differs from itself when moved."""

NOISE = 1.0
"""Grey levels that count as a difference even of equal pixels: less is lost in the mapping, whatever was moved."""


class Fit(NamedTuple):
    """How well two pictures fit.

    Attributes:
        correlation: Correlation ratio, 0 to 1.
        difference: RMS grey levels between them in the part where they differ most, at the contrast of the stronger.
    """

    correlation: float
    difference: float


def fit_of(first: NDArray[np.float32], second: NDArray[np.float32]) -> Fit:
    """Fit two pictures (H, W) of values 0 to 255 on each other, the better way round.

    Each brightness of the one is mapped to the mean of the other where it occurs, on straight lines between 32 of them,
    so that no brightness curve or clipping counts; the share of the variance that this explains is the squared
    correlation ratio (Roche et al. 1998, "The correlation ratio as a new similarity measure for multimodal image
    registration"). What is left over is the difference. A copy leaves compression noise everywhere; another shot, a
    pattern that repeats or a defect leaves more of it somewhere.
    """
    contrast = max(float(first.std()), float(second.std()))
    there, back = _mapped(first, second, contrast), _mapped(second, first, contrast)
    return Fit(max(there.correlation, back.correlation), min(there.difference, back.difference))


def is_telling(first: NDArray[np.float32], second: NDArray[np.float32], difference: float) -> bool:
    """Whether a fit says that one picture is a copy of the other, and not only that both are plain.

    A straight edge, or a trace from side to side, fits on another of its kind by chance, and on itself when moved along
    itself (Moravec 1980, "Obstacle avoidance and navigation in the real world by a seeing robot rover", tells corners
    from edges by this).

    Args:
        first: (H, W).
        second: (H, W).
        difference: Of their fit.
    """
    return max(difference, NOISE) < SHARPNESS * min(_moved(first), _moved(second))


def _moved(picture: NDArray[np.float32]) -> float:
    """The least difference between a picture and itself, moved in one of four directions."""
    height, width = picture.shape
    step = max(1, max(height, width) // MOVED)
    found = []
    for down, right in ((0, step), (step, 0), (step, step), (step, -step)):
        if down < height and step < width:
            moved = picture[down:, max(right, 0) : width + min(right, 0)]
            stayed = picture[: height - down, max(-right, 0) : width - max(right, 0)]
            found.append(fit_of(moved, stayed).difference)
    return min(found, default=0.0)


def _mapped(source: NDArray[np.float32], target: NDArray[np.float32], contrast: float) -> Fit:
    level = (source.ravel() * (LEVELS / 256)).astype(np.intp)
    counts = np.bincount(level, minlength=LEVELS)
    there = counts > 0
    knots, values = (np.bincount(level, of.ravel(), LEVELS)[there] / counts[there] for of in (source, target))
    squares = (target - np.interp(source.ravel(), knots, values).reshape(target.shape)) ** 2
    own = max(float(target.std()), 1e-6)
    explained = max(1 - float(squares.mean()) / own**2, 0.0)
    rows, columns = (np.linspace(0, side, min(PARTS, side) + 1).astype(np.intp) for side in target.shape)
    sums = np.add.reduceat(np.add.reduceat(squares, rows[:-1], 0), columns[:-1], 1)
    worst = (sums / np.outer(np.diff(rows), np.diff(columns))).max()
    return Fit(explained**0.5, float(worst) ** 0.5 * contrast / own)
