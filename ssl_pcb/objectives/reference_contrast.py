"""SimCLR between the places of images and of their golden images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor, nn

from ssl_pcb.augment.difference import DIFFERENT, SAME, contrasted
from ssl_pcb.augment.geometric import draw_maps
from ssl_pcb.augment.photometric import draw_light, relight
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import SimCLRConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.errors import UserError
from ssl_pcb.losses.nt_xent import nt_xent
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.objectives.separation import pairwise_auroc

PLACES = 4
"""Places of each image that are compared, half of them differing ones where there are as many."""


class ReferenceContrast(nn.Module):
    """Places of an image and its golden image agree where the two show the same, and are pushed apart where not.

    Image and golden image go through one network under the same geometry and each under a light of its own. Of each
    image some cells of its finest map are drawn. Where nothing differs, a cell's positive is the golden image's cell in
    its place. Where something does, that cell is a negative of its own, and the positive is the image's own cell under
    another light. Cells that differ a little, or lie beside a difference, are neither, and drawn only where there are
    too few others. All other drawn cells are negatives, as in SimCLR.

    After SimCLR (Chen et al. 2020, arXiv 2002.05709) on dense cells as in DenseCL (Wang et al. 2021, arXiv 2011.09157),
    with differing places as hard negatives as in SPD (Zou et al. 2022, arXiv 2207.14315).

    Attributes:
        backbone: The part that is kept after pretraining.
        head: Projects cells to where the loss compares them.
    """

    def __init__(self, config: SimCLRConfig, backbone: Backbone, views: ViewMaker) -> None:
        """Train ``backbone``.

        Raises:
            UserError: If it gives no maps, or fuses them.
        """
        super().__init__()
        if not backbone.strides or backbone.neck is not None:
            raise UserError(
                "data.references: golden images are compared place by place on the network's maps; set "
                "backbone.strides=[8,16], backbone.pool=avg_max and backbone.neck=0"
            )
        self.config, self.backbone, self.views = config, backbone, views
        self.head = SimCLRProjectionHead(
            sum(backbone.wide_depths), config.hidden_dim, config.output_dim, batch_norm=config.head_batch_norm
        )

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on B samples whose channels are an image's and then its golden image's: 3B images go through."""
        with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
            images, references = self.show(batch, generator)
            apart = contrasted(images, references)
            seen = torch.cat([self._lit(each, generator) for each in (images, images, references)])
        maps = self.backbone.wide_maps(seen)
        cells = self._cells(maps)
        most = self._judged(F.adaptive_max_pool2d(apart, maps[0].shape[2:]), maps).flatten(1)
        places = self._draw(most, generator)
        rows = torch.arange(len(places), device=places.device)[:, None]
        drawn = torch.cat([each[rows, places].flatten(0, 1) for each in cells.chunk(3)])
        return self._compare(self.head(drawn), most.gather(1, places).flatten())

    def show(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images and golden images (B, C, S, S) in [0, 1] under the same geometry, before light."""
        maps = draw_maps(self.views.config.geometry, len(batch.inputs), generator)
        images, references = self.views.move(batch.inputs, maps).chunk(2, 1)
        return images, references

    def _lit(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, channels, side, _ = images.shape
        return relight(images, draw_light(self.views.config.photometry, (count, channels, side, side), generator))

    @staticmethod
    def _cells(maps: list[Tensor]) -> Tensor:
        """(B, h * w, D) of maps (B, depth, h', w'), in the cells of the finest."""
        side = maps[0].shape[2:]
        wide = [F.interpolate(each, side, mode="bilinear", align_corners=False) for each in maps]
        return torch.cat(wide, 1).flatten(2).transpose(1, 2)

    @staticmethod
    def _judged(most: Tensor, maps: list[Tensor]) -> Tensor:
        """The difference (B, 1, h, w) of each cell; where it is none beside a difference, a little one.

        Such a cell shows the same and is made of coarser cells too, which show the difference beside it.
        """
        reach = -(-maps[0].shape[3] // maps[-1].shape[3])
        around = F.max_pool2d(most, 2 * reach + 1, 1, reach)
        return torch.where(most >= DIFFERENT, most, around.clamp(max=(SAME + DIFFERENT) / 2))

    @staticmethod
    def _draw(most: Tensor, generator: torch.Generator) -> Tensor:
        """(B, K) cells, at most PLACES: half of them differing where there are as many, none that differs a little."""
        tickets = torch.rand(most.shape, generator=generator, device=most.device)
        differing, places = most >= DIFFERENT, min(PLACES, most.shape[1])
        first = tickets.masked_fill(~differing, -1.0).topk(places // 2).indices
        chosen = torch.zeros_like(differing).scatter(1, first, value=True) & differing
        # Chosen ones come first, then those that are alike, and only where these are too few any others.
        return (tickets + 2.0 * chosen.float() - 1.0 * (most > SAME).float()).topk(places).indices

    def _compare(self, projections: Tensor, most: Tensor) -> StepOutput:
        """The loss of projections (3N, D) of N cells and their differences (N,)."""
        same, differing = most <= SAME, most >= DIFFERENT
        with torch.autocast(projections.device.type, enabled=False):
            first, again, golden = projections.float().chunk(3)
            second = torch.where(same[:, None], golden, again)
            loss = nt_xent(first, second, golden[:, None], ~differing[:, None], self.config.temperature)
            far = 1 - F.cosine_similarity(first.detach(), golden.detach())
            logs = {"difference_auroc": pairwise_auroc(far, differing, same), "differing": differing.float().mean()}
        return StepOutput(loss, logs)
