"""Softmax cross entropy, optionally with class weights and smoothed labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.losses.inputs import LossInputs


class CrossEntropy(nn.Module):
    """Mean cross entropy.

    Of a class with ``n_k`` of the ``n`` samples as the sampler shows them, with K classes:

    - ``balanced``: it weighs ``n / (K * n_k)`` (King & Zeng 2001).
    - ``effective_number``: it weighs ``(1 - beta) / (1 - beta ** n_k)``, the inverse of the expected number of distinct
      samples among ``n_k`` drawn from ``1 / (1 - beta)`` (Cui et al. 2019, arXiv 1901.05555).

    Either way the rarer class weighs *more*. The mean is over weights, so that the loss of a chance prediction is log K
    whatever the weights.
    """

    def __init__(self, config: CrossEntropyConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss in float32 of logits (B, K) against targets (B,)."""
        return F.cross_entropy(
            inputs.logits.float(),
            inputs.targets,
            weight=self._weights(inputs.class_counts.float().clamp(min=1)),
            label_smoothing=self.config.label_smoothing,
        )

    def _weights(self, counts: Tensor) -> Tensor | None:
        match self.config.class_weights:
            case "balanced":
                return counts.sum() / (len(counts) * counts)
            case "effective_number":
                # 1 - beta ** n, to all digits where n is small beside 1 / (1 - beta).
                distinct = -torch.expm1(counts * torch.log(torch.tensor(self.config.beta, device=counts.device)))
                return (1 - self.config.beta) / distinct
            case _:
                return None
