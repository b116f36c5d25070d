"""How much a sample of each class weighs."""

from __future__ import annotations

import torch
from torch import Tensor


def balanced(counts: Tensor) -> Tensor:
    """``n / (K * n_k)`` of class counts (K,); King & Zeng 2001."""
    return counts.sum() / (len(counts) * counts)


def effective_number(counts: Tensor, beta: float) -> Tensor:
    """``(1 - beta) / (1 - beta ** n_k)`` of class counts (K,); Cui et al. 2019 (arXiv 1901.05555).

    The inverse of the expected number of distinct samples among ``n_k`` drawn from ``1 / (1 - beta)``.
    """
    # 1 - beta ** n, to all digits where n is small beside 1 / (1 - beta).
    distinct = -torch.expm1(counts * torch.log(torch.tensor(beta, device=counts.device)))
    return (1 - beta) / distinct
