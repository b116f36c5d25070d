"""SimCLR that is also shown each image with a painted defect, as a negative of its own."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor, nn

from ssl_pcb.augment.defects.paint import NULL, Painted, paint_defects
from ssl_pcb.augment.photometric import relight
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.defects import DefectConfig
from ssl_pcb.config.method import SimCLRConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.losses.nt_xent import nt_xent
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.objectives.separation import pairwise_auroc


class Trio(NamedTuple):
    """Two views of each of B samples, and painted copies of the first.

    Attributes:
        images: (B * (2 + K), C, S, S) in [0, 1]: first views, second views, then the copies, K times all samples.
        painted: K paintings, each of all samples.
    """

    images: Tensor
    painted: list[Painted]


def trio(views: ViewMaker, defect: DefectConfig, copies: int, batch: Batch, generator: torch.Generator) -> Trio:
    """Draw views, and paint copies of the first before the same light, blur and noise fall on both."""
    with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
        draw = views.draw(len(batch.inputs), batch.inputs.shape[1], generator)
        moved = views.move(batch.inputs, draw.maps)
        painted = [paint_defects(moved, defect, generator, views.context) for _ in range(copies)]
        copied = [relight(each.images, draw.light) for each in painted]
        return Trio(torch.cat([relight(moved, draw.light), views(batch.inputs, generator), *copied]), painted)


def hard_nt_xent(projections: Tensor, painted: list[Painted], temperature: float, context: int = 0) -> StepOutput:
    """NT-Xent of the projections (B * (2 + K), D) of a :class:`Trio`.

    A copy without a defect, retouched or not, is no negative: it takes the first view's place beside the second, so
    that the trace of painting is among what two views may differ in. So does one whose defect lies in the ``context``,
    pixels on each side that surround the sample itself.
    """
    with torch.autocast(projections.device.type, enabled=False):
        first, second, *copies = projections.float().chunk(2 + len(painted))
        kinds = torch.stack([each.kinds_inside(context) for each in painted], 1)
        anchors = torch.where(kinds[:, :1] == NULL, copies[0], first)
        loss = nt_xent(anchors, second, torch.stack(copies, 1), kinds == NULL, temperature)
        far = 1 - F.cosine_similarity(first.detach(), copies[0].detach())
        apart = pairwise_auroc(far, kinds[:, 0] != NULL, painted[0].retouched)
    return StepOutput(loss, {"distance_auroc": apart})


class HardNegatives(nn.Module):
    """Backbone, projection head, and NT-Xent with painted copies as negatives of their own anchors.

    After SPD (Zou et al. 2022, arXiv 2207.14315). Logs ``distance_auroc``: how well the distance from its anchor
    tells a painted copy from one that was merely retouched; a half would say that only the trace of painting is seen.

    Attributes:
        backbone: The part that is kept after pretraining.
        head: Projects features to where the loss compares them.
    """

    def __init__(self, config: SimCLRConfig, backbone: Backbone, views: ViewMaker) -> None:
        super().__init__()
        self.config, self.backbone, self.views = config, backbone, views
        self.head = SimCLRProjectionHead(
            backbone.dim, config.hidden_dim, config.output_dim, batch_norm=config.head_batch_norm
        )

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of B samples: B * (2 + copies) images through the network at once."""
        images, painted = trio(self.views, self.config.defect, self.config.copies, batch, generator)
        projections = self.head(self.backbone(images))
        return hard_nt_xent(projections, painted, self.config.temperature, self.views.context)
