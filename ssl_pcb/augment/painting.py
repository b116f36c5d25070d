"""Synthetic defects among the real ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_pcb.augment.augmented import Augmented
from ssl_pcb.augment.defects.paint import Painted, paint_defects
from ssl_pcb.augment.photometric import relight
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.defects import DefectConfig
from ssl_pcb.config.painting import PaintedConfig
from ssl_pcb.imaging.tiling import ENOUGH


def painted_views(
    views: ViewMaker, pixels: Tensor, config: DefectConfig, generator: torch.Generator, *, slivers: bool = True
) -> tuple[Tensor, Painted, Tensor]:
    """One random view of each sample with a defect or none: painted after geometry, before light, blur and noise.

    Args:
        views: Make the views.
        pixels: (B, C, H, H) uint8, stored.
        config: What is painted.
        generator: Source of randomness.
        slivers: Keep defects of which the sample shows something, but less than half, so that it is neither Defective
            nor good; otherwise nothing is painted there.

    Returns:
        Images (B, C, S, S) in [0, 1], what is painted on them, and the maps (B, 2, 3) from them to their samples.
    """
    draw = views.draw(len(pixels), pixels.shape[1], generator)
    moved = views.move(pixels, draw.maps)
    painted = paint_defects(moved, config, generator, views.context)
    if not slivers:
        share = painted.share_inside(views.context)
        painted = painted.undone((share > 0) & (share < ENOUGH), moved)
    return relight(painted.images, draw.light), painted, draw.maps


@dataclass(frozen=True)
class Painting:
    """A defect is painted on pictures of either class; a good one is then Defective.

    So a network that has few defective samples does not learn them by heart. Those of the other class that are
    retouched in their own colours stay good: the trace of painting is not what is to be learnt.
    """

    views: ViewMaker
    config: PaintedConfig

    def __call__(
        self, pixels: Tensor, labels: Tensor, generator: torch.Generator, boxes: Tensor | None = None
    ) -> Augmented:
        """See :class:`~ssl_pcb.augment.augmented.Augment`."""
        images, painted, maps = painted_views(self.views, pixels, self.config.defect, generator, slivers=False)
        shows = painted.share_inside(self.views.context) > 0
        return Augmented(images, labels.masked_fill(shows, 1), maps, painted=shows)
