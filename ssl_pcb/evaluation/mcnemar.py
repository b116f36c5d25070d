"""Whether two classifiers err differently on the same samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test (McNemar 1947, Psychometrika 12, 153).

    It takes samples for independent; tiles of one image are not, so a paired bootstrap over images belongs beside it.

    Attributes:
        first_alone: Samples that only the first gets wrong.
        second_alone: That only the second gets wrong.
        p_value: Two-sided: how often so uneven a split of these would come of two that err alike; 1 without any.
    """

    first_alone: int
    second_alone: int
    p_value: float


def mcnemar(first_wrong: ArrayLike, second_wrong: ArrayLike) -> McNemar:
    """Compare what two classifiers get wrong.

    Args:
        first_wrong: (N,) bool.
        second_wrong: (N,) bool, of the same samples.

    Raises:
        ValueError: If they differ in shape.
    """
    first, second = np.asarray(first_wrong, bool), np.asarray(second_wrong, bool)
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} are not of the same samples")
    alone = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(*alone, float(binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0)
