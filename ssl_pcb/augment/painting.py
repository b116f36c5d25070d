"""Synthetic defects among the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_pcb.augment.augmented import Augmented
from ssl_pcb.augment.defects.paint import Painted, paint_defects
from ssl_pcb.augment.photometric import relight
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.defects import DefectConfig
from ssl_pcb.config.painting import PaintedConfig
from ssl_pcb.imaging.tiling import ENOUGH


class PaintedViews(NamedTuple):
    """Views of samples with a defect or none.

    Attributes:
        images: (B, C, S, S) in [0, 1]; where samples have golden images (B, 2C, S, S), these last.
        painted: What is painted, before light, blur and noise.
        maps: (B, 2, 3) from the views to their samples.
        before: (B, C, S, S) the images before painting, light, blur and noise.
    """

    images: Tensor
    painted: Painted
    maps: Tensor
    before: Tensor


def painted_views(
    views: ViewMaker, pixels: Tensor, config: DefectConfig, generator: torch.Generator, *, slivers: bool = True
) -> PaintedViews:
    """One random view of each sample with a defect or none: painted after geometry, before light, blur and noise.

    Args:
        views: Make the views.
        pixels: (B, C, H, H) uint8, stored; with golden images (B, 2C, H, H), these last.
        config: What is painted; on a golden image nothing ever is.
        generator: Source of randomness.
        slivers: Keep defects of which the sample shows something, but less than half, so that it is neither Defective
            nor good; otherwise nothing is painted there.
    """
    draw = views.draw(len(pixels), pixels.shape[1], generator)
    own, beside = pixels.chunk(2, 1) if draw.golden else (pixels, None)
    moved = views.move(own, draw.maps)
    painted = paint_defects(moved, config, generator, views.context)
    if not slivers:
        share = painted.share_inside(views.context)
        painted = painted.undone((share > 0) & (share < ENOUGH), moved)
    images = relight(painted.images, draw.light)
    if beside is None or draw.golden is None:
        return PaintedViews(images, painted, draw.maps, moved)
    golden = relight(views.move(beside, draw.golden.maps), draw.golden.light)
    return PaintedViews(torch.cat([images, golden], 1), painted, draw.maps, moved)


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
        made = painted_views(self.views, pixels, self.config.defect, generator, slivers=False)
        shows = made.painted.share_inside(self.views.context) > 0
        return Augmented(made.images, labels.masked_fill(shows, 1), made.maps, painted=shows)
