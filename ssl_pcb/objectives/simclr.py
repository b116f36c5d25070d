"""SimCLR: two views of one sample agree, views of different samples do not."""

from __future__ import annotations

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor, nn

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import SimCLRConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.output import StepOutput


class SimCLR(nn.Module):
    """Backbone, projection head and NT-Xent (Chen et al. 2020, arXiv 2002.05709).

    Attributes:
        backbone: The part that is kept after pretraining.
    """

    def __init__(self, config: SimCLRConfig, backbone: Backbone, views: ViewMaker) -> None:
        super().__init__()
        self.backbone = backbone
        self.views = views
        self.head = SimCLRProjectionHead(
            backbone.dim, config.hidden_dim, config.output_dim, batch_norm=config.head_batch_norm
        )
        self.loss = NTXentLoss(temperature=config.temperature)

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of B samples: 2B views through the network at once."""
        with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
            views = torch.cat([self.views(batch.inputs, generator), self.views(batch.inputs, generator)])
        first, second = self.project(views).float().chunk(2)
        # NT-Xent exponentiates similarities divided by the temperature: bfloat16 has too few digits for it.
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return StepOutput(self.loss(first, second))

    def project(self, images: Tensor) -> Tensor:
        """Projections (B, output_dim) of images (B, C, S, S) in [0, 1]."""
        projections: Tensor = self.head(self.backbone(images))
        return projections
