"""What stands between a backbone's maps and the pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 64
"""Channels inside."""

RARE = -3.0
"""Where outputs begin: as log-odds of something that few cells show."""


class Neck(nn.Module):
    """Maps of several strides fused into one of few channels, in the cells of the finest.

    Each map is normalised by itself, so that none is heard for its scale alone; then two 3 x 3 convolutions.
    """

    def __init__(self, depths: Sequence[int], channels: int) -> None:
        """Make it for maps of ``depths`` channels."""
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(1, depth) for depth in depths)
        self.fuse = nn.Conv2d(sum(depths), WIDTH, 3, padding=1)
        self.tell = nn.Conv2d(WIDTH, channels, 3, padding=1)
        nn.init.constant_(self.tell.bias, RARE)  # type: ignore[arg-type]

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(B, channels, h, w) of maps (B, depth, h', w'), the finest first."""
        side = maps[0].shape[2:]
        normed = [norm(each) for norm, each in zip(self.norms, maps, strict=True)]
        wide = [F.interpolate(each, side, mode="bilinear", align_corners=False) for each in normed]
        told: Tensor = self.tell(F.gelu(self.fuse(torch.cat(wide, 1))))
        return told
