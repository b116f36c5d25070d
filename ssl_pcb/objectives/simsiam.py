"""SimSiam: one view predicts the other; no negatives, no momentum."""

from __future__ import annotations

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead
from torch import nn

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import SimSiamConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.objectives.two_views import compare, spread, two_views


class SimSiam(nn.Module):
    """Backbone, projection and prediction head (Chen and He 2021, arXiv 2011.10566).

    Attributes:
        backbone: The part that is kept after pretraining.
    """

    def __init__(self, config: SimSiamConfig, backbone: Backbone, views: ViewMaker) -> None:
        super().__init__()
        self.backbone = backbone
        self.views = views
        self.head = SimSiamProjectionHead(backbone.dim, config.hidden_dim, config.output_dim)
        self.predictor = SimSiamPredictionHead(config.output_dim, config.prediction_dim, config.output_dim)
        self.loss = NegativeCosineSimilarity()

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of B samples: 2B views through the network at once."""
        projections = self.head(self.backbone(two_views(self.views, batch, generator)))
        predictions = self.predictor(projections)
        targets = projections.detach().roll(len(projections) // 2, 0)  # each row's other view
        # Collapse is the loss's own minimum, so only the spread shows it.
        return StepOutput(compare(self.loss, predictions, targets), {"spread": spread(targets)})
