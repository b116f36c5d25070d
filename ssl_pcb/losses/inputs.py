"""What every supervised loss receives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LossInputs:
    """One batch as a supervised loss sees it.

    Attributes:
        features: (B, D) features that went into the head.
        weight: (K, D) weight of the linear head; margin losses measure angles against its rows.
        logits: (B, K) outputs of the head.
        targets: (B,) class indices.
        class_counts: (K,) samples of each class in an epoch, *as the sampler shows them*.
    """

    features: Tensor
    weight: Tensor
    logits: Tensor
    targets: Tensor
    class_counts: Tensor
