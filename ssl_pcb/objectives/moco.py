"""Momentum contrast: SimCLR with negatives from a queue of earlier batches."""

from __future__ import annotations

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import MoCoProjectionHead
from torch import nn

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import MoCoConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.momentum import MomentumCopy
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.objectives.two_views import GATHER, compare, two_views


class MoCo(nn.Module):
    """Backbone and head against their momentum copy and a queue of its outputs (He et al. 2020, arXiv 1911.05722).

    The first view is the query, the second the key. The queue begins with random directions. A batch larger than
    the queue leaves its first keys in it.

    Query and key share batch statistics that older keys do not, and batch norm can tell them apart by that; the
    paper shuffles samples between GPUs against it, here group norm avoids it.

    Attributes:
        backbone: The part that is kept after pretraining.
        target: Momentum copy of backbone and head.
    """

    def __init__(self, config: MoCoConfig, backbone: Backbone, views: ViewMaker) -> None:
        super().__init__()
        self.momentum = config.momentum
        self.backbone = backbone
        self.views = views
        self.head = MoCoProjectionHead(
            backbone.dim, config.hidden_dim, config.output_dim, batch_norm=config.head_batch_norm
        )
        self.target = MomentumCopy(self.backbone, self.head)
        self.loss = NTXentLoss(config.temperature, (config.queue, config.output_dim), gather_distributed=GATHER)
        queue = self.loss.memory_bank
        for name, buffer in list(queue.named_buffers()):  # lightly leaves them out of the state: no exact resume
            queue.register_buffer(name, buffer, persistent=True)

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of B samples: B queries through the network, B keys through the target."""
        self.target.follow(self.backbone, self.head, momentum=self.momentum)
        first, second = two_views(self.views, batch, generator).chunk(2)
        queries = self.head(self.backbone(first))
        return StepOutput(compare(self.loss, queries, self.target(second)))
