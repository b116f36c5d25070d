"""Label-distribution-aware margins."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.config.margin_losses import LDAMConfig
from ssl_pcb.losses.class_weights import effective_number, weighted_cross_entropy
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.precision import at_least_float32
from ssl_pcb.losses.supervised import AnnealedLoss


class LDAM(AnnealedLoss):
    """Cross entropy of scaled cosines in which the own class must win by a margin; Cao et al. 2019 (arXiv 1906.07413).

    The logits are ``scale * cos`` to each class's weights, and that of the own class j is lowered by
    ``scale * margin_j``. With ``n_j`` samples as the sampler shows them ``margin_j = C / n_j ** (1 / 4)``, and C such
    that the rarest class has the largest margin that was asked for. Scores are the logits without it.

    With deferred re-weighting (the paper's DRW) classes also weigh the inverse of their effective number, but only
    after so many steps: from the start on, such weights spoil the features.
    """

    def __init__(self, config: LDAMConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss of logits (B, K), scale times cosines, against targets (B,)."""
        logits = at_least_float32(inputs.logits)
        counts = inputs.class_counts.to(logits.dtype).clamp(min=1)
        margins = (counts.min() / counts) ** 0.25 * self.config.max_margin
        lowered = self.config.scale * margins * F.one_hot(inputs.targets, len(counts))
        return weighted_cross_entropy(logits - lowered, inputs.targets, self._weights(counts))

    def _weights(self, counts: Tensor) -> Tensor | None:
        if self.config.reweight_after is None:
            return None
        weights = effective_number(counts, self.config.beta)
        return torch.where(self.count() >= self.config.reweight_after, weights, torch.ones_like(weights))
