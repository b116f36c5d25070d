"""Find painted defects: whether there is one, where it lies, and which generator painted it."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_pcb.augment.defects.paint import NULL, Painted
from ssl_pcb.augment.painting import painted_views
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.objectives.separation import pairwise_auroc

FILLED = 0.25
"""Share of a cell from which a defect in it counts in full."""


class Shown(NamedTuple):
    """What the network is shown.

    Attributes:
        images: (B, C, S, S) in [0, 1]; golden images are further channels.
        painted: What is painted on the images themselves.
        unsure: (B, 1, S, S) bool, where nobody can say that there is no defect; ``None`` = nowhere.
    """

    images: Tensor
    painted: Painted
    unsure: Tensor | None = None


class DefectPretext(nn.Module):
    """A backbone whose neck maps defects, trained on painted ones that nobody labelled.

    The neck's first channel is the log-odds of a defect in each cell, the others' that of each kind; pooled by maximum
    they are the image's features, and the first of these is its score before anybody has labelled anything.
    After natural synthetic anomalies (Schlueter et al. 2022, arXiv 2109.15222), whose network too says of every place
    how much of a defect lies there.

    Attributes:
        backbone: What is kept after pretraining.
    """

    def __init__(self, config: DefectPretextConfig, backbone: Backbone, views: ViewMaker) -> None:
        """Train ``backbone``, which has a neck of one channel for any defect and one for each generator."""
        super().__init__()
        self.config, self.views, self.backbone = config, views, backbone

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of stored pixels, under one random view each and one painted defect or none."""
        with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
            shown = self.show(batch, generator)
        found = self.backbone.fused(self.backbone.wide_maps(shown.images))  # what surrounds a tile teaches as well
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return self.judge(found.float(), shown.painted, shown.unsure)

    def show(self, batch: Batch, generator: torch.Generator) -> Shown:
        """Images, and what is painted on them: after geometry, before light, blur and noise."""
        made = painted_views(self.views, batch.inputs, self.config.defect, generator)
        return Shown(made.images, made.painted)

    def judge(self, found: Tensor, painted: Painted, unsure: Tensor | None = None) -> StepOutput:
        """The loss of log-odds (B, 1 + generators, h, w); see :class:`Shown`."""
        clear = painted.clear.float()
        target = (F.adaptive_avg_pool2d(clear, (found.shape[2], found.shape[3]))[:, 0] / FILLED).clamp(max=1)
        of_kind = F.one_hot(painted.kinds.clamp(min=0), found.shape[1] - 1)[:, :, None, None] * target[:, None]
        counted, suspicion = self._counted(found[:, :1], target[:, None]), found[:, 0].detach()
        if unsure is not None:
            cells = F.adaptive_max_pool2d(unsure.float(), (found.shape[2], found.shape[3]))[:, 0]
            doubtful = (cells > 0) & (target == 0)
            counted, suspicion = counted.masked_fill(doubtful[:, None], 0), suspicion.masked_fill(doubtful, -torch.inf)
        where, which = (
            self._unlikely(odds, wanted, counted)
            for odds, wanted in ((found[:, :1], target[:, None]), (found[:, 1:], of_kind))
        )
        scores, defective = suspicion.flatten(1).amax(1), clear.flatten(1).any(1)
        known = scores > -torch.inf
        logs = {
            "where": where.detach(), "which": which.detach(),
            "painted_auroc": pairwise_auroc(scores, defective & known, (painted.kinds == NULL) & known),
            "retouched_auroc": pairwise_auroc(scores, defective & known, painted.retouched & known),
        }  # fmt: skip
        if unsure is not None:
            logs["left_out"] = doubtful.float().mean()
        return StepOutput(where + self.config.kind_weight * which, logs)

    def _counted(self, log_odds: Tensor, target: Tensor) -> Tensor:
        """1 for each cell of (B, 1, h, w) that the loss counts, else 0.

        Unlabelled images show real defects, which nobody painted: where the map suspects one, it must not be taught
        that there is none. Left out are the most suspicious cells of the batch, as in trimmed regression.
        """
        unpainted = target == 0
        suspicion = log_odds.detach().masked_fill(~unpainted, -torch.inf).flatten()
        left_out = suspicion.topk(int(self.config.trim * len(suspicion))).indices
        counted = torch.ones_like(suspicion)
        counted[left_out] = 0
        return torch.where(unpainted, counted.view_as(target), 1.0)

    def _unlikely(self, log_odds: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        """Cross entropy of (B, K, h, w), summed over K; cells with a defect, which are few, weigh more."""
        weight = counted * (1 + (self.config.positive_weight - 1) * target)
        each = weight * F.binary_cross_entropy_with_logits(log_odds, target, reduction="none")
        return each.sum(1).mean()
