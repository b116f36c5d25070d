"""SimCLR: two views of one sample agree, views of different samples do not."""

from __future__ import annotations

from lightly.models.modules.heads import SimCLRProjectionHead

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import SimCLRConfig
from ssl_pcb.losses.nt_xent import nt_xent
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.joint_embedding import JointEmbedding


class SimCLR(JointEmbedding):
    """Backbone, projection head and NT-Xent (Chen et al. 2020, arXiv 2002.05709)."""

    def __init__(self, config: SimCLRConfig, backbone: Backbone, views: ViewMaker) -> None:
        head = SimCLRProjectionHead(
            backbone.dim, config.hidden_dim, config.output_dim, batch_norm=config.head_batch_norm
        )
        super().__init__(
            backbone, views, head, lambda first, second: nt_xent(first, second, None, None, config.temperature)
        )
