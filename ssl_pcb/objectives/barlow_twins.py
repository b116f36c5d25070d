"""Barlow Twins: correlations between the views' features become the identity matrix."""

from __future__ import annotations

from lightly.loss import BarlowTwinsLoss
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from torch import Tensor

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import BarlowTwinsConfig
from ssl_pcb.losses.whole_batch import gathered
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.joint_embedding import JointEmbedding


class BarlowTwins(JointEmbedding):
    """Backbone, projection head and redundancy reduction (Zbontar et al. 2021, arXiv 2103.03230)."""

    def __init__(self, config: BarlowTwinsConfig, backbone: Backbone, views: ViewMaker) -> None:
        head = BarlowTwinsProjectionHead(backbone.dim, config.hidden_dim, config.output_dim)
        super().__init__(backbone, views, head, _WholeBatchLoss(config.redundancy))


class _WholeBatchLoss(BarlowTwinsLoss):  # type: ignore[misc]
    # lightly's own gathering averages correlations that each process normalised by its own part of the batch,
    # which is another loss than that of the whole batch.
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        loss: Tensor = super().forward(gathered(first), gathered(second))
        return loss
