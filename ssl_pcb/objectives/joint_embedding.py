"""Methods that are a projection head and a loss between the two views of each sample."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.objectives.two_views import compare, two_views

Loss = Callable[[Tensor, Tensor], Tensor]


class JointEmbedding(nn.Module):
    """Both views of each sample through one backbone and head, and a loss between them.

    Attributes:
        backbone: The part that is kept after pretraining.
        head: Projects features to where the loss compares them.
        loss: Takes the projections of the first and of the second views, (B, output_dim) each.
    """

    def __init__(self, backbone: Backbone, views: ViewMaker, head: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.backbone = backbone
        self.views = views
        self.head = head
        self.loss = loss

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of B samples: 2B views through the network at once."""
        first, second = self.project(two_views(self.views, batch, generator)).chunk(2)
        return StepOutput(compare(self.loss, first, second))

    def project(self, images: Tensor) -> Tensor:
        """Projections (B, output_dim) of images (B, C, S, S) in [0, 1]."""
        projections: Tensor = self.head(self.backbone(images))
        return projections
