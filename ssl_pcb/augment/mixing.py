"""Two pictures of a batch in one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_pcb.augment.areas import own_region, shares_shown
from ssl_pcb.augment.augmented import Augmented, Mixture
from ssl_pcb.augment.draws import dirichlet, unit
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig
from ssl_pcb.imaging.tiling import ENOUGH

HALF = ENOUGH - 1e-6
"""Share of a defect that makes a picture Defective; less what rounding may take."""


@dataclass(frozen=True)
class CutMix:
    """A rectangle of each picture is replaced by that of another one (Yun et al. 2019, arXiv 1905.04899).

    As in the paper a batch has one rectangle, whose centre is uniform, and the area that counts is what is left of it
    inside the picture; where a view shows what surrounds the sample, inside the sample's own place. Its defects are not
    the paper's subject: with ``labels: defect_aware`` a picture is Defective if at least half of a defect's box is
    seen, its own or a pasted one. The mirror image of a defect, which may lie beyond the edge of a shrunken sample, is
    not looked for.
    """

    views: ViewMaker
    config: CutMixConfig

    def __call__(
        self, pixels: Tensor, labels: Tensor, generator: torch.Generator, boxes: Tensor | None = None
    ) -> Augmented:
        """See :class:`~ssl_pcb.augment.augmented.Augment`."""
        images, maps = self.views.with_maps(pixels, generator)
        mixture = self.draw(len(images), generator)
        partners, pasted = mixture.partners, mixture.pasted
        assert pasted is not None
        images = torch.where(_inside(pasted, self.views.size), images[partners], images)
        match self.config.labels:
            case "kept":
                return Augmented(images, labels, maps, mixture)
            case "area":
                return Augmented(images, labels, maps, mixture, others=labels[partners])
            case "defect_aware":
                assert boxes is not None
                shows = shows_defect(boxes, maps, partners, pasted, self.views.aside)
                return Augmented(images, shows.long(), maps, mixture)

    def draw(self, count: int, generator: torch.Generator) -> Mixture:
        """The rectangle and the partners of a batch of ``count``; an empty rectangle where it is not to be mixed."""
        size = self.views.size - 2 * self.views.context
        mixed = unit(1, generator) < self.config.probability
        side = dirichlet(self.config.alpha, 1, 2, generator)[0, :1].sqrt() * mixed * size
        centre = unit(2, generator) * size
        corners = torch.cat([centre - side / 2, centre + side / 2]).round().clamp(0, size)
        area = ((corners[2:] - corners[:2]) / size).prod()
        return Mixture(_partners(count, generator), 1 - area, (corners + self.views.context) / self.views.size)


@dataclass(frozen=True)
class MixUp:
    """Pictures are blended in pairs, and so are their labels (Zhang et al. 2018, arXiv 1710.09412).

    As in the authors' code a batch has one share.
    """

    views: ViewMaker
    config: MixUpConfig

    def __call__(
        self, pixels: Tensor, labels: Tensor, generator: torch.Generator, boxes: Tensor | None = None
    ) -> Augmented:
        """See :class:`~ssl_pcb.augment.augmented.Augment`."""
        images, maps = self.views.with_maps(pixels, generator)
        mixed = unit(1, generator) < self.config.probability
        share = torch.where(mixed, dirichlet(self.config.alpha, 1, 2, generator)[0, :1], 1)[0]
        partners = _partners(len(images), generator)
        images = torch.lerp(images[partners], images, share)
        return Augmented(images, labels, maps, Mixture(partners, share), others=labels[partners])


def shows_defect(boxes: Tensor, maps: Tensor, partners: Tensor, pasted: Tensor, aside: float = 0.0) -> Tensor:
    """Whether pictures show at least half of some defect, their own or a pasted one; (B,) bool.

    Args:
        boxes: (B, M, 4) defects in shares of the sample's side, NaN where there is none.
        maps: (B, 2, 3) from pictures to samples.
        partners: (B,) the picture that each one was pasted from.
        pasted: (4,) where, ``x1 y1 x2 y2`` in shares of the picture's side.
        aside: Share of that side, all round, that surrounds the sample itself.
    """
    covered = shares_shown(boxes, maps, pasted)
    own = shares_shown(boxes, maps, own_region(maps.device, aside)) - covered
    return (own >= HALF).any(1) | (covered[partners] >= HALF).any(1)


def _partners(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator, device=generator.device)


def _inside(box: Tensor, size: int) -> Tensor:
    """(S, S) bool: pixels in a box, in shares of the side, whose corners lie between pixels."""
    centres = (torch.arange(size, device=box.device) + 0.5) / size
    x1, y1, x2, y2 = box.unbind()
    return ((centres > y1) & (centres < y2))[:, None] & ((centres > x1) & (centres < x2))
