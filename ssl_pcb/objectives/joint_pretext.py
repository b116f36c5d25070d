"""Painted defects found on a map, and told from the picture without them by NT-Xent, at once."""

from __future__ import annotations

import torch
from lightly.models.modules.heads import SimCLRProjectionHead

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.defect_pretext import DefectPretext
from ssl_pcb.objectives.hard_negatives import hard_nt_xent, trio
from ssl_pcb.objectives.output import StepOutput


class JointPretext(DefectPretext):
    """The map of :class:`DefectPretext` reads the painted copies that NT-Xent takes for hard negatives.

    Attributes:
        projection: Projects pooled features to where NT-Xent compares them.
    """

    def __init__(self, config: DefectPretextConfig, backbone: Backbone, views: ViewMaker) -> None:
        """Put a map and a projection head behind ``backbone``.

        Raises:
            UserError: If the backbone gives no maps, or not of all of them whole cells can be told from the context.
        """
        super().__init__(config, backbone, views)
        coarsest = backbone.strides[-1]
        for key, side in (("data.context", views.context), ("data.image_size", views.size - 2 * views.context)):
            if views.context and side % coarsest:
                raise UserError(
                    f"{key}: NT-Xent pools the maps of all strides, and {side} px are no whole cells of {coarsest} px; "
                    "give a multiple of that, or set method.nt_xent_weight=0"
                )
        self.projection = SimCLRProjectionHead(
            sum(backbone.wide_depths), config.hidden_dim, config.output_dim, batch_norm=config.head_batch_norm
        )

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of B samples: 3B images through the network at once."""
        images, painted = trio(self.views, self.config.defect, 1, batch, generator)
        maps = self.backbone.wide_maps(images)
        pooled = self.projection(self.backbone.pooled(self.backbone.own_cells(maps)))
        contrast = hard_nt_xent(pooled, painted, self.config.temperature, self.views.context)
        found = self.backbone.fused([each[-len(batch.labels) :] for each in maps])
        with torch.autocast(batch.inputs.device.type, enabled=False):
            judged = self.judge(found.float(), painted[0])
        logs = {**judged.logs, **contrast.logs, "nt_xent": contrast.loss.detach()}
        return StepOutput(judged.loss + self.config.nt_xent_weight * contrast.loss, logs)
