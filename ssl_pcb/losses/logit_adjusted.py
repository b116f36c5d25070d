"""Logit adjustment."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.config.loss import LogitAdjustedConfig
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.precision import at_least_float32
from ssl_pcb.losses.supervised import SupervisedLoss


class LogitAdjusted(SupervisedLoss):
    """Cross entropy of ``logits + tau * log(shares)``; Menon et al. 2021 (arXiv 2007.07314), equation 10.

    The shares are those of the classes as the sampler shows them. What frequency explains is taken from the network, so
    that its bare logits, which evaluation sees, minimise the *balanced* error: the rarer class is favoured by them.
    """

    def __init__(self, config: LogitAdjustedConfig) -> None:
        super().__init__()
        self.tau = config.tau

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss of logits (B, K) against targets (B,)."""
        logits = at_least_float32(inputs.logits)
        counts = inputs.class_counts.to(logits.dtype).clamp(min=1)
        return F.cross_entropy(logits + self.tau * (counts / counts.sum()).log(), inputs.targets)
