"""Paint one defect on each picture.

A generator is one function from pictures, drawn shapes and the board's pattern to a painted picture. It needs an entry
in ``_GENERATORS`` and its name in :mod:`ssl_pcb.config.defects`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_pcb.augment.defects.patches import cut_paste, scar, soft_paste
from ssl_pcb.augment.defects.pattern import Pattern
from ssl_pcb.augment.defects.shapes import Shapes, draw_shapes
from ssl_pcb.augment.defects.traces import bridge, cut, island, nick, pin_hole, retouch, spur
from ssl_pcb.config.defects import DefectConfig
from ssl_pcb.imaging.tiling import ENOUGH

CLEAR = 0.25
"""Least change of a pixel that makes a picture Defective, as a share of the contrast of the board's tones."""

FAINTEST, SURE = 0.02, 0.1
"""The same of full scale: less is hidden by noise and light, and more is clear on any board."""

VISIBLE = 1 / 255
"""Least change of a painted pixel; smaller ones are undone."""

NULL = -1
"""Kind of a sample that gets no defect."""

_GENERATORS: dict[str, Callable[[Tensor, Shapes, Pattern], Tensor]] = {
    "break": cut, "bridge": bridge, "nick": nick, "spur": spur, "pin_hole": pin_hole, "island": island,
    "cut_paste": cut_paste, "soft_paste": soft_paste, "scar": scar,
}  # fmt: skip


@dataclass(frozen=True)
class Painted:
    """What painting gave.

    Attributes:
        images: (B, C, S, S) in [0, 1].
        change: (B, 1, S, S) in [0, 1], how far a defect moved a pixel: 0, or at least a grey level.
        kinds: (B,) index into ``config.generators``; :data:`NULL` = no defect.
        retouched: (B,) bool, no defect but the trace of painting.
        least: (B, 1, 1, 1) change from which on a defect can be seen through noise and light.
    """

    images: Tensor
    change: Tensor
    kinds: Tensor
    retouched: Tensor
    least: Tensor

    @property
    def clear(self) -> Tensor:
        """(B, 1, S, S) bool, where a defect can be seen through noise and light."""
        return self.change >= self.least

    def share_inside(self, context: int) -> Tensor:
        """(B,) share of each defect's clear pixels that lie ``context`` pixels or more from all sides; 0 of none."""
        inside = slice(context, self.change.shape[-1] - context)
        whole, own = (part.flatten(1).sum(1) for part in (self.clear, self.clear[..., inside, inside]))
        return own / whole.clamp(min=1)

    def kinds_inside(self, context: int) -> Tensor:
        """(B,) kinds; :data:`NULL` for a defect that lies in the surroundings by more than half, as tiles count it.

        Likewise for one of which nothing can be seen: a copy that looks like its original is no other picture.
        """
        return torch.where(self.share_inside(context) >= ENOUGH, self.kinds, NULL)

    def undone(self, which: Tensor, images: Tensor) -> Painted:
        """The same with ``which`` (B,) of them as the ``images`` were before."""
        here = which[:, None, None, None]
        return Painted(
            torch.where(here, images, self.images), self.change.masked_fill(here, 0),
            self.kinds.masked_fill(which, NULL), self.retouched & ~which, self.least,
        )  # fmt: skip


def paint_defects(images: Tensor, config: DefectConfig, generator: torch.Generator, context: int = 0) -> Painted:
    """Paint one defect on each picture, but for the share that gets none.

    Half of those without a defect stay as they are; the other half are retouched: a blob on the pattern is painted in
    the colours that it has, so that the trace of painting itself tells nothing.

    All parameters are drawn before any picture is looked at: what happens to a sample depends on itself and on the
    generator, not on its neighbours in the batch. A defect lies wholly inside the picture.

    Args:
        images: (B, C, S, S) in [0, 1], float; not changed.
        config: Generators, sizes, contrast.
        generator: Source of randomness, on the images' device.
        context: Pixels of each side that surround the sample itself; defects lie there too, and are as long as without.
    """
    count, _, side, _ = images.shape

    def unit() -> Tensor:
        return torch.rand(count, generator=generator, device=images.device)

    kinds = torch.randint(len(config.generators), (count,), generator=generator, device=images.device)
    kinds = torch.where(unit() < config.null_share, NULL, kinds)
    retouched = (kinds == NULL) & (unit() < 0.5)
    shapes = draw_shapes(config, count, side, generator, context)
    pattern = Pattern.of(images, _window(unit, side) if config.tones == "window" else None)
    painted = images.clone()
    ways = [(kinds == kind, _GENERATORS[name]) for kind, name in enumerate(config.generators)]
    for chosen, paint in [*ways, (retouched, retouch)]:
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            painted[rows] = paint(images[rows], shapes.of(rows), pattern.of_samples(rows)).clamp(0, 1)
    # A bright blob on what is bright already changes digits that no camera has: that is no defect.
    change = (painted - images).abs().amax(1, keepdim=True)
    seen = change >= VISIBLE
    defect = seen & (kinds != NULL)[:, None, None, None]
    retouched &= seen.flatten(1).any(1)  # a picture in two clean colours has them already
    least = (CLEAR * pattern.contrast).clamp(FAINTEST, SURE)
    return Painted(torch.where(seen, painted, images), change * defect, kinds, retouched, least)


def _window(unit: Callable[[], Tensor], side: int) -> Tensor:
    """(B, 1, S, S) bool, a square of half the side of each picture, at a drawn place."""
    reach = math.ceil(side / 2)
    x, y = ((unit() * (side - reach + 1)).floor()[:, None] for _ in range(2))
    line = torch.arange(side, device=x.device)
    columns, rows = ((line >= start) & (line < start + reach) for start in (x, y))
    return (columns[:, None, :] & rows[:, :, None])[:, None]
