"""Copies of each picture that are blends of changed ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_pcb.augment.augmented import Augmented
from ssl_pcb.augment.draws import dirichlet, signs, unit
from ssl_pcb.augment.operations.apply import change_at_random
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.operations import LEAST_LEVEL, STRONGEST, AugMixConfig


@dataclass(frozen=True)
class AugMix:
    """The clean picture, and copies that blend chains of operations with it (Hendrycks et al. 2020, arXiv 1912.02781).

    Of a copy the clean picture has a share drawn from a Beta, the chains the rest by weights drawn from a Dirichlet.
    ``maps`` are those of the clean picture: what a chain moved lies in a copy like a ghost beside it.
    """

    views: ViewMaker
    config: AugMixConfig

    def __call__(
        self, pixels: Tensor, labels: Tensor, generator: torch.Generator, boxes: Tensor | None = None
    ) -> Augmented:
        """See :class:`~ssl_pcb.augment.augmented.Augment`."""
        clean, maps = self.views.with_maps(pixels, generator)
        changed = [self.blend(clean, generator) for _ in range(self.config.copies - 1)]
        return Augmented(
            torch.cat([clean, *changed]), labels, maps, copies=self.config.copies, consistency=self.config.consistency
        )

    def blend(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """A changed copy of each of (B, C, S, S) images in [0, 1]."""
        count, config = len(clean), self.config
        weights = dirichlet(config.alpha, count, config.width, generator)[:, :, None, None, None]
        share = dirichlet(config.alpha, count, 2, generator)[:, 0, None, None, None]
        blended = torch.zeros_like(clean)
        for chain in range(config.width):
            blended.addcmul_(weights[:, chain], self._chain(clean, generator))
        return torch.lerp(clean, blended, share).clamp_(0, 1)

    def _chain(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, config = len(images), self.config
        depth = torch.randint(1, config.depth + 1, (count,), generator=generator, device=generator.device)
        for step in range(config.depth):
            level = LEAST_LEVEL + (config.severity - LEAST_LEVEL) * unit(count, generator)
            strengths = signs(count, generator) * level / STRONGEST
            changed, _ = change_at_random(images, strengths, config.operations, generator)
            images = torch.where((step < depth)[:, None, None, None], changed, images)
        return images
