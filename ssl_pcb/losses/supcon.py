"""Supervised contrast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor

from ssl_pcb.config.loss import SupConConfig
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.precision import at_least_float32
from ssl_pcb.losses.supervised import SupervisedLoss
from ssl_pcb.losses.whole_batch import gathered


class SupCon(SupervisedLoss):
    """Samples of one class attract each other, all others repel; Khosla et al. 2020 (arXiv 2004.11362).

    They are compared behind a projection head of two layers, see :func:`supervised_contrast`.

    - ``two_stage``: the network learns by that alone. The paper's second stage, a linear layer by cross entropy on the
      network's features, is trained beside it: the features are detached, so it teaches the network nothing. By itself
      ``linear-eval`` on the finished run trains that layer.
    - ``joint``: ``weight`` times the contrast plus ``1 - weight`` times cross entropy, both teaching the network.

    On cached features (``linear-eval``) the contrast reaches the projection head alone, so that the last layer learns
    by cross entropy.

    Attributes:
        projector: (B, D) features to (B, ``output_dim``); not kept with the network.
    """

    def __init__(self, config: SupConConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.views, self.detached = config.views, config.mode == "two_stage"
        self.projector = SimCLRProjectionHead(dim, dim, config.output_dim, batch_norm=False)

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss of features (B, D) and logits (B, K) against targets (B,)."""
        contrast = supervised_contrast(self.projector(inputs.features), inputs.targets, self.config.temperature)
        classes = F.cross_entropy(at_least_float32(inputs.logits), inputs.targets)
        if self.detached:
            return contrast + classes
        return self.config.weight * contrast + (1 - self.config.weight) * classes


def supervised_contrast(projections: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Mean over anchors of the mean over their positives of the log share, negated: the paper's equation 2.

    With projections z at unit length, and the positives P(i) of the anchor i, all others of its class,

    .. math:: \\frac{-1}{|P(i)|} \\sum_{p \\in P(i)} \\log \\frac{e^{z_i z_p / t}}{\\sum_{a \\ne i} e^{z_i z_a / t}}

    An anchor without a positive does not count, and a batch without any gives 0. Several processes compare the
    samples of all, and each gets the loss of all.

    Args:
        projections: (B, D), of any length.
        targets: (B,) class indices.
        temperature: t.
    """
    with torch.autocast(projections.device.type, enabled=False):
        z, targets = gathered(F.normalize(at_least_float32(projections))), gathered(targets)
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        positive = (targets[:, None] == targets) & ~itself
        alike = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
        log_shares = torch.where(positive, alike.log_softmax(1), 0).sum(1)
        positives = positive.sum(1)
        return -(log_shares / positives.clamp(min=1)).sum() / (positives > 0).sum().clamp(min=1)
