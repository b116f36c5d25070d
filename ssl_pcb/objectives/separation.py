"""How well one group of numbers stands above another, as training goes on."""

from __future__ import annotations

from torch import Tensor


def pairwise_auroc(values: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Share of pairs of a positive and a negative in which the positive is higher; ties count a half.

    A half where there are no pairs, so that the mean over steps leans toward saying nothing. Nothing here makes a GPU
    wait, as choosing rows would.

    Args:
        values: (B,).
        positive: (B,) bool.
        negative: (B,) bool.
    """
    apart = values[:, None] - values[None, :]
    higher = (apart > 0).float() + 0.5 * (apart == 0)
    pairs = (positive[:, None] & negative[None, :]).float()
    count = pairs.sum()
    return ((higher * pairs).sum() + 0.5 * (count == 0)) / count.clamp(min=1)
