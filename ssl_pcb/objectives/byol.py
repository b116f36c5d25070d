"""BYOL: one view predicts what a momentum copy makes of the other; no negatives."""

from __future__ import annotations

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
from torch import nn

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import BYOLConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.momentum import MomentumCopy
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.objectives.two_views import compare, spread, two_views


class BYOL(nn.Module):
    """Backbone, projection and prediction head, and their target (Grill et al. 2020, arXiv 2006.07733).

    The loss is the negative cosine, half of the paper's squared distance less a constant; the momentum stays at
    its configured value, where the paper raises it to 1.

    Attributes:
        backbone: The part that is kept after pretraining.
        target: Momentum copy of backbone and projection head.
    """

    def __init__(self, config: BYOLConfig, backbone: Backbone, views: ViewMaker) -> None:
        super().__init__()
        self.momentum = config.momentum
        self.backbone = backbone
        self.views = views
        self.head = BYOLProjectionHead(backbone.dim, config.hidden_dim, config.output_dim)
        self.predictor = BYOLPredictionHead(config.output_dim, config.hidden_dim, config.output_dim)
        self.target = MomentumCopy(self.backbone, self.head)
        self.loss = NegativeCosineSimilarity()

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of B samples: 2B views through the network and through the target."""
        self.target.follow(self.backbone, self.head, momentum=self.momentum)
        images = two_views(self.views, batch, generator)
        predictions = self.predictor(self.head(self.backbone(images)))
        targets = self.target(images).roll(len(images) // 2, 0)  # each row's other view
        # Collapse is the loss's own minimum, so only the spread shows it.
        return StepOutput(compare(self.loss, predictions, targets), {"spread": spread(targets)})
