"""How much a sample of each class weighs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.losses.whole_batch import shares, summed


def balanced(counts: Tensor) -> Tensor:
    """``n / (K * n_k)`` of class counts (K,); King & Zeng 2001."""
    return counts.sum() / (len(counts) * counts)


def effective_number(counts: Tensor, beta: float) -> Tensor:
    """``(1 - beta) / (1 - beta ** n_k)`` of class counts (K,); Cui et al. 2019 (arXiv 1901.05555).

    The inverse of the expected number of distinct samples among ``n_k`` drawn from ``1 / (1 - beta)``.
    """
    # 1 - beta ** n, to all digits where n is small beside 1 / (1 - beta).
    distinct = -torch.expm1(counts * math.log(beta))
    return (1 - beta) / distinct


def weighted_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross entropy in the mean over the weights of the labels.

    So without smoothing the loss of a chance prediction is log K whatever the weights are.

    The mean is over the batch of all processes: the average of what each of them gets.

    Args:
        logits: (B, K).
        targets: (B,) class indices.
        weights: (K,) of the classes, or ``None``.
        label_smoothing: Share of each label that goes evenly to all classes.
    """
    loss = F.cross_entropy(logits, targets, weight=weights, label_smoothing=label_smoothing)
    if weights is None:
        return loss
    own = weights[targets].sum()
    return loss * own * shares()[1] / summed(own)
