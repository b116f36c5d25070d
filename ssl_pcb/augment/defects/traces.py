"""Defects as a board's copper has them, painted along its own pattern.

They are named for boards whose copper is the brighter tone. Where it is the darker one, the names swap in pairs:
break and bridge, nick and spur, pin-hole and island.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_pcb.augment.defects.patches import blend
from ssl_pcb.augment.defects.pattern import Pattern, across, in_the_open, on_an_edge
from ssl_pcb.augment.defects.shapes import THINNEST, Shapes, blob, moved_inside, no_thinner

OVERLAP = 2.0
"""Pixels by which what cuts a trace, or closes a gap, reaches beyond both of its borders."""

CALM = 0.3
"""Share of the outline's waves that crossing defects keep, so that they do cross."""

WALL, SMALLEST = 2.0, 1.0
"""Pixels between a hole and the border around it, and the least radius of a hole, for traces too narrow for more."""


def nick(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """A bite out of what is bright, on its border (DeepPCB's mousebite)."""
    return _fill(images, pattern.dark, shapes, on_an_edge(pattern, shapes))


def spur(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """A lump of what is bright on its border."""
    return nick(images, shapes, pattern.swapped())


def cut(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """A cut across a trace that is bright (an open); a bite where no trace is narrow enough to be cut."""
    edge = on_an_edge(pattern, shapes)
    inward, width = across(pattern, edge, 2 * float(shapes.limit.max()))
    reach = width / 2 + OVERLAP
    crosses = reach <= shapes.limit
    reach = torch.where(crosses, reach, shapes.radius)
    thickness = (shapes.radius * shapes.aspect / 2).clamp(min=THINNEST)
    longer = torch.maximum(reach, thickness)
    # A blob's radius is its longer side: where the cut is wider than the trace, that lies along the trace.
    turn = torch.where(reach >= thickness, 0, torch.pi / 2)
    calm = shapes.waves * torch.tensor([CALM, 1.0], device=images.device)
    crossing = shapes.but(
        radius=longer, aspect=torch.minimum(reach, thickness) / longer,
        angle=torch.atan2(inward[:, 1], inward[:, 0]) + turn,
        waves=torch.where(crosses[:, None, None], calm, shapes.waves),
    )  # fmt: skip
    return _fill(images, pattern.dark, crossing, edge + inward * torch.where(crosses, width / 2, 0)[:, None])


def bridge(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """What is bright closes a gap between two of its borders (a short)."""
    return cut(images, shapes, pattern.swapped())


def pin_hole(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """A hole wholly inside what is bright."""
    at, depth = in_the_open(pattern, shapes)
    fits = torch.minimum(shapes.radius, depth - WALL).clamp(min=SMALLEST)
    return _fill(images, pattern.dark, shapes.but(radius=fits, aspect=no_thinner(shapes.aspect, fits)), at)


def island(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """A spot of what is bright that touches nothing of it."""
    return pin_hole(images, shapes, pattern.swapped())


def retouch(images: Tensor, shapes: Shapes, pattern: Pattern) -> Tensor:
    """No defect, but painting's own trace: a blob on a border in which each pixel gets the clean colour of its tone."""
    return _fill(images, pattern.own_tone(), shapes, on_an_edge(pattern, shapes))


def _fill(images: Tensor, colour: Tensor, shapes: Shapes, at: Tensor) -> Tensor:
    side = images.shape[-1]
    cover = blob(shapes, moved_inside(at, shapes.radius, side), side)
    return blend(images, colour.expand_as(images), cover * shapes.contrast[:, None, None, None])
