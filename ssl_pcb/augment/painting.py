"""Synthetic defects among the real ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_pcb.augment.augmented import Augmented
from ssl_pcb.augment.defects.paint import paint_defects
from ssl_pcb.augment.photometric import relight
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.painting import PaintedConfig


@dataclass(frozen=True)
class Painting:
    """A defect is painted on pictures of either class, after geometry and before light; a good one is then Defective.

    So a network that has few defective samples does not learn them by heart. Those of the other class that are
    retouched in their own colours stay good: the trace of painting is not what is to be learnt.
    """

    views: ViewMaker
    config: PaintedConfig

    def __call__(
        self, pixels: Tensor, labels: Tensor, generator: torch.Generator, boxes: Tensor | None = None
    ) -> Augmented:
        """See :class:`~ssl_pcb.augment.augmented.Augment`."""
        draw = self.views.draw(len(pixels), pixels.shape[1], generator)
        painted = paint_defects(self.views.move(pixels, draw.maps), self.config.defect, generator)
        shows = painted.clear.flatten(1).any(1)
        return Augmented(relight(painted.images, draw.light), labels.masked_fill(shows, 1), draw.maps, painted=shows)
