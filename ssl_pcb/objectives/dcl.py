"""Decoupled contrastive learning: SimCLR without the positive pair among the negatives."""

from __future__ import annotations

from lightly.loss import DCLLoss
from lightly.models.modules.heads import SimCLRProjectionHead

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import DCLConfig
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.joint_embedding import JointEmbedding
from ssl_pcb.objectives.two_views import GATHER


class DCL(JointEmbedding):
    """SimCLR's network under the decoupled loss (Yeh et al. 2022, arXiv 2110.06848)."""

    def __init__(self, config: DCLConfig, backbone: Backbone, views: ViewMaker) -> None:
        head = SimCLRProjectionHead(
            backbone.dim, config.hidden_dim, config.output_dim, batch_norm=config.head_batch_norm
        )
        super().__init__(backbone, views, head, DCLLoss(config.temperature, gather_distributed=GATHER))
