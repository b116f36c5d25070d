"""Softmax cross entropy, optionally with balanced class weights."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.losses.inputs import LossInputs


class CrossEntropy(nn.Module):
    """Mean cross entropy.

    With ``class_weights: balanced`` class k weighs ``n / (K * n_k)``, where ``n_k`` counts the samples as the
    sampler shows them (King & Zeng 2001): the rarer class weighs *more*. The mean is over weights, so that
    the loss of a chance prediction is log K whatever the weights.
    """

    def __init__(self, config: CrossEntropyConfig) -> None:
        super().__init__()
        self.balanced = config.class_weights == "balanced"

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss in float32 of logits (B, K) against targets (B,)."""
        counts = inputs.class_counts.float()
        weight = counts.sum() / (len(counts) * counts.clamp(min=1)) if self.balanced else None
        return F.cross_entropy(inputs.logits.float(), inputs.targets, weight=weight)
