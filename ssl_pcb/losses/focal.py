"""Focal loss."""

from __future__ import annotations

from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from ssl_pcb.config.loss import FocalConfig
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.precision import at_least_float32
from ssl_pcb.losses.supervised import SupervisedLoss

EVEN = -1.0
"""What torchvision takes for no class weight."""


class Focal(SupervisedLoss):
    """Cross entropy times ``(1 - p) ** gamma``, p being the predicted probability of the true class.

    Lin et al. 2017 (arXiv 1708.02002), in torchvision's form for two classes, whose logits' difference is the log-odds
    of Defective. With ``alpha`` Defective weighs alpha and NonDefective 1 - alpha; the paper's 0.25 makes *little* of
    the positive class, because gamma 2 has already done much for it.
    """

    def __init__(self, config: FocalConfig) -> None:
        super().__init__()
        self.gamma, self.alpha = config.gamma, EVEN if config.alpha is None else config.alpha

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss of logits (B, 2) against targets (B,)."""
        log_odds = at_least_float32(inputs.logits).diff(dim=1)[:, 0]
        loss: Tensor = sigmoid_focal_loss(
            log_odds, inputs.targets.to(log_odds), alpha=self.alpha, gamma=self.gamma, reduction="mean"
        )
        return loss
