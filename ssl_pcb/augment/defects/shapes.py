"""The drawn part of painted defects, and the areas that they cover."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ssl_pcb.config.defects import DefectConfig

WAVES = 4
"""Waves around a blob's outline: the first makes it oval, further ones ragged."""

THINNEST = 1.5
"""Half of the least width of a shape in pixels."""

DIRECTIONS = 64
"""In which an outline's farthest point is sought."""

CELL = 4
"""Side in pixels of the cells among which a place is drawn by weight."""


@dataclass(frozen=True)
class Shapes:
    """Drawn parameters of B defects; lengths in pixels. A generator may use any, and leave any unused.

    Attributes:
        radius: (B,) half of the longer side.
        limit: (B,) the largest radius that may be drawn.
        aspect: (B,) shorter to longer side.
        angle: (B,) direction of the longer side.
        waves: (B, WAVES, 2) amplitude and phase of the outline's waves, in [0, 1).
        contrast: (B,) share of the new content in what it covers.
        place: (B, 2) two numbers in [0, 1) for a place.
        source: (B, 2) two more, for where content comes from.
        choice: (B,) one number in [0, 1) for a choice between manners.
        lottery: (B, 1, K, K) Gumbel noise of the cells of a picture, for drawing a place by weight.
    """

    radius: Tensor
    limit: Tensor
    aspect: Tensor
    angle: Tensor
    waves: Tensor
    contrast: Tensor
    place: Tensor
    source: Tensor
    choice: Tensor
    lottery: Tensor

    def of(self, chosen: Tensor) -> Shapes:
        """The parameters of the ``chosen`` samples."""
        return Shapes(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def but(self, **changes: Tensor) -> Shapes:
        """The same with some of the parameters replaced."""
        return replace(self, **changes)


def draw_shapes(config: DefectConfig, count: int, side: int, generator: torch.Generator, context: int = 0) -> Shapes:
    """Draw ``count`` shapes for pictures of ``side`` pixels, sizes evenly between the configured ones.

    What surrounds a sample in its picture, ``context`` pixels on each side, makes the sample's defects no longer.
    """

    def unit(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator, device=generator.device)

    # A defect longer than the picture could lie nowhere.
    low, high = (min(size / 2, side / 2 - 1) for size in config.sizes(side - 2 * context))
    cells = math.ceil(side / CELL)
    radius = low + (high - low) * unit()
    return Shapes(
        radius=radius,
        limit=torch.full((count,), high, device=generator.device),
        aspect=no_thinner(config.min_aspect + (1 - config.min_aspect) * unit(), radius),
        angle=math.pi * unit(),
        waves=unit(WAVES, 2),
        contrast=config.min_contrast + (1 - config.min_contrast) * unit(),
        place=unit(2),
        source=unit(2),
        choice=unit(),
        lottery=-torch.log(-torch.log(unit(1, cells, cells).clamp(1e-6, 1 - 1e-6))),
    )


def no_thinner(aspect: Tensor, radius: Tensor) -> Tensor:
    """The (B,) aspects, but such that no shape falls into crumbs: half its shorter side is :data:`THINNEST` or more."""
    return torch.maximum(aspect, (THINNEST / radius).clamp(max=1))


def anywhere(unit: Tensor, shapes: Shapes, side: int) -> Tensor:
    """(B, 2) places x, y, drawn by ``unit``, at which a defect of that radius lies wholly inside the picture."""
    room = side - 2 * (shapes.radius + 1)
    return shapes.radius[:, None] + 1 + unit * room.clamp(min=0)[:, None]


def moved_inside(at: Tensor, radius: Tensor, side: int) -> Tensor:
    """The places (B, 2), moved no further than a defect of ``radius`` needs to lie wholly inside the picture."""
    reach = radius[:, None] + 1
    return torch.minimum(torch.maximum(at, reach), side - reach)


def blob(shapes: Shapes, at: Tensor, side: int) -> Tensor:
    """Cover (B, 1, S, S) in [0, 1] of ragged ovals, within ``radius`` of ``at``; soft over one pixel."""
    distance, outline = _rings(shapes, at, side)
    return (shapes.radius[:, None, None] * outline - distance + 0.5).clamp(0, 1)[:, None]


def soft_blob(shapes: Shapes, at: Tensor, side: int) -> Tensor:
    """As :func:`blob`, but fading from the middle to nothing at the outline."""
    distance, outline = _rings(shapes, at, side)
    inward = (1 - distance / (shapes.radius[:, None, None] * outline)).clamp(0, 1)
    return (inward * inward * (3 - 2 * inward))[:, None]


def box(shapes: Shapes, at: Tensor, side: int) -> Tensor:
    """Cover (B, 1, S, S) of upright rectangles within ``radius`` of ``at``, hard-edged."""
    line = torch.arange(side, device=at.device) + 0.5
    lying = (shapes.angle < math.pi / 2)[:, None]
    # The corners, too, must stay within the radius.
    longer = shapes.radius[:, None] / torch.hypot(torch.ones_like(shapes.aspect), shapes.aspect)[:, None]
    shorter = longer * shapes.aspect[:, None]
    half_width, half_height = torch.where(lying, longer, shorter), torch.where(lying, shorter, longer)
    x = ((line - at[:, :1]).abs() <= half_width)[:, None, :]
    y = ((line - at[:, 1:]).abs() <= half_height)[:, :, None]
    return (x & y).to(at)[:, None]


def stroke(shapes: Shapes, at: Tensor, side: int) -> Tensor:
    """Cover (B, 1, S, S) in [0, 1] of turned bars within ``radius`` of ``at``; soft over one pixel."""
    along, across = _turned(shapes, at, side)
    longer = (shapes.radius / torch.hypot(torch.ones_like(shapes.aspect), shapes.aspect))[:, None, None]
    shorter = longer * shapes.aspect[:, None, None]
    return (torch.minimum(longer - along.abs(), shorter - across.abs()) + 0.5).clamp(0, 1)[:, None]


def _rings(shapes: Shapes, at: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Distances (B, S, S) from ``at`` in which an oval is a circle, and its ragged outline's share of the radius."""
    along, across = _turned(shapes, at, side)
    across = across / shapes.aspect[:, None, None]
    distance, direction = torch.hypot(along, across), torch.atan2(across, along)
    amplitude, phase = 0.25 * shapes.waves[..., 0], 2 * math.pi * shapes.waves[..., 1]

    def outline(at: Tensor) -> Tensor:
        waves = torch.arange(2, WAVES + 2, device=at.device)[:, None, None]
        swing = torch.sin(waves * at[:, None] + phase[..., None, None])
        return 1 + (amplitude[..., None, None] * swing).sum(1)

    widest = outline(torch.linspace(-math.pi, math.pi, DIRECTIONS, device=at.device).expand(len(at), 1, -1))
    return distance, outline(direction) / widest.amax(2, keepdim=True)


def _turned(shapes: Shapes, at: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Distances (B, S, S) of all pixel centres from ``at``, along the longer and the shorter side."""
    line = torch.arange(side, device=at.device) + 0.5
    x = (line - at[:, :1])[:, None, :]
    y = (line - at[:, 1:])[:, :, None]
    cos, sin = shapes.angle.cos()[:, None, None], shapes.angle.sin()[:, None, None]
    return x * cos + y * sin, y * cos - x * sin
