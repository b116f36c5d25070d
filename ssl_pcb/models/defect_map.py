"""A dense map of defects on a backbone's maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone


class DefectMap(nn.Module):
    """From a backbone's maps to the log-odds of a defect in each cell, and of which kind it is.

    Coarser maps are brought to the finest one's cells; one 3 x 3 convolution reads them all.

    Attributes:
        stride: Pixels per cell.
    """

    def __init__(self, backbone: Backbone, kinds: int) -> None:
        """Make the head.

        Args:
            backbone: With at least one stride.
            kinds: Kinds of defects to tell apart.

        Raises:
            UserError: If the backbone gives no maps.
        """
        super().__init__()
        if not backbone.strides:
            raise UserError(
                "backbone.strides: a map of defects needs the strides that it reads; set them, for instance "
                "backbone.strides=[8,16]"
            )
        self.stride = backbone.strides[0]
        self.norms = nn.ModuleList(nn.GroupNorm(1, depth) for depth in backbone.depths)
        self.read = nn.Conv2d(sum(backbone.depths), 1 + kinds, 3, padding=1)
        self.read.bias.data.fill_(-3.0)  # type: ignore[union-attr]  # defects are rare: start from saying so

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Log-odds of a defect (B, h, w), and logits of its kind (B, kinds, h, w), of a backbone's maps."""
        side = maps[0].shape[2:]
        normed = [norm(each) for norm, each in zip(self.norms, maps, strict=True)]
        wide = [F.interpolate(each, side, mode="bilinear", align_corners=False) for each in normed]
        found: Tensor = self.read(torch.cat(wide, 1))
        return found[:, 0], found[:, 1:]


def image_score(log_odds: Tensor) -> Tensor:
    """The score (B,) of Defective of maps (B, h, w): their most suspicious cell's."""
    return log_odds.flatten(1).amax(1)


class DefectScorer(nn.Module):
    """A backbone and its map as one number an image: the label-free score of Defective.

    Attributes:
        dim: 1, the number of scores.
    """

    def __init__(self, backbone: Backbone, head: DefectMap) -> None:
        super().__init__()
        self.backbone, self.head, self.dim = backbone, head, 1

    def forward(self, images: Tensor) -> Tensor:
        """Scores (B, 1) of images (B, C, S, S) in [0, 1]."""
        return image_score(self.head(self.backbone.maps(images))[0])[:, None]
