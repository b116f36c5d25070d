"""Find painted defects: whether there is one, where it lies, and which generator painted it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_pcb.augment.defects.paint import NULL, Painted, paint_defects
from ssl_pcb.augment.photometric import relight
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.defect_map import DefectMap, image_score
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.objectives.separation import pairwise_auroc

CLEAR = 0.1
"""Least change of a pixel, of full scale, that the map is asked to find; noise and light hide less."""

FILLED = 0.25
"""Share of a cell from which a defect in it counts in full."""


class DefectPretext(nn.Module):
    """A backbone and a map of defects, trained on painted ones that nobody labelled.

    After natural synthetic anomalies (Schlueter et al. 2022, arXiv 2109.15222), whose network too says of every place
    how much of a defect lies there.

    Attributes:
        backbone: The part that is kept after pretraining.
        head: The map.
    """

    def __init__(self, config: DefectPretextConfig, backbone: Backbone, views: ViewMaker) -> None:
        """Put a map behind ``backbone``.

        Raises:
            UserError: If the backbone gives no maps.
        """
        super().__init__()
        self.config, self.views = config, views
        self.backbone = backbone
        self.head = DefectMap(backbone, len(config.defect.generators))

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of stored pixels, under one random view each and one painted defect or none."""
        with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
            images, painted = self.show(batch, generator)
        log_odds, kinds = self.head(self.backbone.maps(images))
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return self.judge(log_odds.float(), kinds.float(), painted)

    def show(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Painted]:
        """Images (B, C, S, S) in [0, 1], and what is painted on them: after geometry, before light, blur and noise."""
        draw = self.views.draw(len(batch.inputs), batch.inputs.shape[1], generator)
        painted = paint_defects(self.views.move(batch.inputs, draw), self.config.defect, generator)
        return relight(painted.images, draw.light), painted

    def judge(self, log_odds: Tensor, kinds: Tensor, painted: Painted) -> StepOutput:
        """The loss of maps (B, h, w) and (B, kinds, h, w)."""
        clear = (painted.change >= CLEAR).float()
        target = (F.adaptive_avg_pool2d(clear, (log_odds.shape[1], log_odds.shape[2]))[:, 0] / FILLED).clamp(max=1)
        weight = 1 + (self.config.positive_weight - 1) * target
        where = (weight * F.binary_cross_entropy_with_logits(log_odds, target, reduction="none")).mean()
        scores, defective, null = image_score(log_odds.detach()), clear.flatten(1).any(1), painted.kinds == NULL
        which = F.cross_entropy(kinds, painted.kinds.clamp(min=0)[:, None, None].expand_as(target), reduction="none")
        which = (which * target).sum() / target.sum().clamp(min=1)
        logs = {
            "where": where.detach(), "which": which.detach(),
            "painted_auroc": pairwise_auroc(scores[defective], scores[null]),
            "retouched_auroc": pairwise_auroc(scores[defective], scores[painted.retouched]),
        }  # fmt: skip
        return StepOutput(where + self.config.kind_weight * which, logs)
