"""VICReg: views agree, features keep their variance and lose their covariance."""

from __future__ import annotations

from lightly.loss import VICRegLoss
from lightly.models.modules.heads import VICRegProjectionHead

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import VICRegConfig
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.joint_embedding import JointEmbedding
from ssl_pcb.objectives.two_views import GATHER


class VICReg(JointEmbedding):
    """Backbone, expander and the three terms (Bardes et al. 2022, arXiv 2105.04906).

    The variance term is the mean over both views, as in the authors' code, where the paper's equation has the sum.
    """

    def __init__(self, config: VICRegConfig, backbone: Backbone, views: ViewMaker) -> None:
        head = VICRegProjectionHead(backbone.dim, config.hidden_dim, config.output_dim)
        loss = VICRegLoss(config.invariance, config.variance, config.covariance, gather_distributed=GATHER)
        super().__init__(backbone, views, head, loss)
