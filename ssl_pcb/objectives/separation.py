"""How well one group of numbers stands above another, as training goes on."""

from __future__ import annotations

from torch import Tensor


def pairwise_auroc(positive: Tensor, negative: Tensor) -> Tensor:
    """Share of pairs of ``positive`` (P,) and ``negative`` (N,) in which the positive is higher; ties count a half.

    A half where there are no pairs, so that the mean over steps leans toward saying nothing.
    """
    if not (len(positive) and len(negative)):
        return positive.new_tensor(0.5)
    apart = positive[:, None] - negative[None, :]
    return ((apart > 0).float() + 0.5 * (apart == 0)).mean()
