"""A few random operations on each picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_pcb.augment.augmented import Augmented
from ssl_pcb.augment.draws import signs
from ssl_pcb.augment.operations.apply import chained, change_at_random
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.operations import STRONGEST, RandAugmentConfig


@dataclass(frozen=True)
class RandAugment:
    """``count`` operations one after the other, all at one level (Cubuk et al. 2020, arXiv 1909.13719).

    Directions are random, as in torchvision; the paper's are not.
    """

    views: ViewMaker
    config: RandAugmentConfig

    def __call__(
        self, pixels: Tensor, labels: Tensor, generator: torch.Generator, boxes: Tensor | None = None
    ) -> Augmented:
        """See :class:`~ssl_pcb.augment.augmented.Augment`."""
        images, maps = self.views.with_maps(pixels, generator)
        for _ in range(self.config.count):
            strengths = signs(len(images), generator) * self.config.magnitude / STRONGEST
            images, moved = change_at_random(images, strengths, self.config.operations, generator)
            maps = chained(maps, moved)
        return Augmented(images, labels, maps)
