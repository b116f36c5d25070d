"""Softmax cross entropy, optionally with class weights and smoothed labels."""

from __future__ import annotations

from torch import Tensor

from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.losses.class_weights import balanced, effective_number, weighted_cross_entropy
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.precision import at_least_float32
from ssl_pcb.losses.supervised import SupervisedLoss


class CrossEntropy(SupervisedLoss):
    """Mean cross entropy.

    With class weights (:mod:`ssl_pcb.losses.class_weights`), of the classes as the sampler shows them, the rarer class
    weighs *more*. The mean is over weights, so that without smoothing the loss of a chance prediction is log K whatever
    they are.
    """

    def __init__(self, config: CrossEntropyConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss of logits (B, K) against targets (B,)."""
        logits = at_least_float32(inputs.logits)
        weights = self._weights(inputs.class_counts.to(logits.dtype).clamp(min=1))
        return weighted_cross_entropy(logits, inputs.targets, weights, self.config.label_smoothing)

    def _weights(self, counts: Tensor) -> Tensor | None:
        match self.config.class_weights:
            case "balanced":
                return balanced(counts)
            case "effective_number":
                return effective_number(counts, self.config.beta)
            case _:
                return None
