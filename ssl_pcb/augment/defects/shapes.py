"""Defects painted on board pictures, on the device and without labels.

A generator is one function from pictures and drawn shapes to new content; it needs an entry in ``_GENERATORS`` and
its name in :mod:`ssl_pcb.config.defects`. Where the content shows, and how strongly, is the shape's affair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.config.defects import DefectConfig

WAVES = 4
"""Waves around a blob's outline: the first makes it oval, further ones ragged."""

CELL = 4
"""Side in pixels of the cells among which a place on an edge is drawn."""

VISIBLE = 1 / 255
"""Least change of a painted pixel; smaller ones are undone."""

NULL = -1
"""Kind of a sample that is left as it is."""


@dataclass(frozen=True)
class Painted:
    """What painting gave.

    Attributes:
        images: (B, C, S, S) in [0, 1].
        mask: (B, 1, S, S) bool, True exactly where a pixel differs from before, and then by a grey level at least.
        kinds: (B,) index into ``config.generators``; :data:`NULL` = left as it is.
    """

    images: Tensor
    mask: Tensor
    kinds: Tensor


@dataclass(frozen=True)
class Shapes:
    """Drawn parameters of B defects; lengths in pixels. A generator may use any, and leave any unused.

    Attributes:
        radius: (B,) half of the longer side.
        aspect: (B,) shorter to longer side.
        angle: (B,) direction of the longer side.
        waves: (B, WAVES, 2) amplitude and phase of the outline's waves.
        contrast: (B,) share of the new content in what it covers.
        place: (B, 2) two numbers in [0, 1) for a place.
        source: (B, 2) two more, for where content comes from.
        choice: (B,) one number in [0, 1) for a choice between manners.
        lottery: (B, 1, K, K) Gumbel noise of the cells of a picture, for drawing a place by weight.
    """

    radius: Tensor
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


def paint_defects(images: Tensor, config: DefectConfig, generator: torch.Generator) -> Painted:
    """Paint one defect on each picture, but for the share that stays as it is.

    All parameters are drawn before any picture is looked at: what happens to a sample depends on itself and on the
    generator, not on its neighbours in the batch. A defect lies wholly inside the picture.

    Args:
        images: (B, C, S, S) in [0, 1], float; not changed.
        config: Generators, sizes, contrast.
        generator: Source of randomness, on the images' device.
    """
    count, _, side, _ = images.shape
    kinds = torch.randint(len(config.generators), (count,), generator=generator, device=images.device)
    kinds = torch.where(_unit(generator, count) < config.null_share, NULL, kinds)
    shapes = draw_shapes(config, count, side, generator)
    painted = images.clone()
    for kind, name in enumerate(config.generators):
        chosen = (kinds == kind).nonzero()[:, 0]
        if len(chosen):
            painted[chosen] = _GENERATORS[name](images[chosen], shapes.of(chosen)).clamp(0, 1)
    # A bright blob on what is bright already changes digits that no camera has: that is no defect.
    changed = ((painted - images).abs() >= VISIBLE).any(1, keepdim=True)
    return Painted(torch.where(changed, painted, images), changed, kinds)


def draw_shapes(config: DefectConfig, count: int, side: int, generator: torch.Generator) -> Shapes:
    """Draw ``count`` shapes for pictures of ``side`` pixels, sizes evenly between the configured ones."""
    low, high = config.sizes(side)
    cells = math.ceil(side / CELL)
    return Shapes(
        # A defect longer than the picture could lie nowhere.
        radius=((low + (high - low) * _unit(generator, count)) / 2).clamp(max=side / 2 - 1),
        aspect=config.min_aspect + (1 - config.min_aspect) * _unit(generator, count),
        angle=math.pi * _unit(generator, count),
        waves=_unit(generator, count, WAVES, 2),
        contrast=config.min_contrast + (1 - config.min_contrast) * _unit(generator, count),
        place=_unit(generator, count, 2),
        source=_unit(generator, count, 2),
        choice=_unit(generator, count),
        lottery=-torch.log(-torch.log(_unit(generator, count, 1, cells, cells).clamp(1e-6, 1 - 1e-6))),
    )


def cut_paste(images: Tensor, shapes: Shapes) -> Tensor:
    """Cover a place with what lies elsewhere in the same picture (Li et al. 2021, arXiv 2104.04015).

    Half of the patches are rectangles as in the paper, half are ragged blobs.
    """
    side = images.shape[-1]
    at, origin = _anywhere(shapes.place, shapes, side), _anywhere(shapes.source, shapes, side)
    offset = (origin - at).round().long()
    content = _shifted(images, offset)
    cover = torch.where((shapes.choice < 0.5)[:, None, None, None], _box(shapes, at, side), _blob(shapes, at, side))
    return _blend(images, content, cover * shapes.contrast[:, None, None, None])


def tone(images: Tensor, shapes: Shapes) -> Tensor:
    """Fill a ragged blob on an edge of the pattern with one of the picture's two tones, or swap them inside it.

    A blob of the bright tone makes a spur, a bridge or an island of what is bright; one of the dark tone a nick, a
    break or a hole; which of them is copper does not matter.
    """
    dark, bright = _tones(images)
    is_bright = _grey(images) > _grey((dark + bright) / 2)
    manner = shapes.choice[:, None, None, None]
    swapped = torch.where(is_bright, dark, bright)
    content = torch.where(manner < 0.4, bright, torch.where(manner < 0.8, dark, swapped))
    at = _on_an_edge(images, shapes)
    return _blend(images, content, _blob(shapes, at, images.shape[-1]) * shapes.contrast[:, None, None, None])


_GENERATORS = {"cut_paste": cut_paste, "tone": tone}


def _blend(images: Tensor, content: Tensor, share: Tensor) -> Tensor:
    # Not images + share * (content - images): where nothing is painted the pixel must stay the same to the last bit.
    return torch.where(share > 0, torch.lerp(images, content, share), images)


def _anywhere(unit: Tensor, shapes: Shapes, side: int) -> Tensor:
    """(B, 2) places x, y at which a defect of that radius lies wholly inside the picture."""
    room = side - 2 * (shapes.radius + 1)
    return shapes.radius[:, None] + 1 + unit * room.clamp(min=0)[:, None]


def _on_an_edge(images: Tensor, shapes: Shapes) -> Tensor:
    """(B, 2) places on edges of the pattern, drawn by edge strength, moved inward where the defect needs it."""
    side = images.shape[-1]
    grey = _grey(images)
    steps = F.pad((grey[..., 1:] - grey[..., :-1]).abs(), (0, 1)) + F.pad(
        (grey[..., 1:, :] - grey[..., :-1, :]).abs(), (0, 0, 0, 1)
    )
    strength = F.max_pool2d(steps, CELL, ceil_mode=True)
    # Squared, so that hundreds of cells of sensor noise do not outweigh the few with an edge.
    tickets = 2 * torch.log(strength + 1e-3) + shapes.lottery
    cell = tickets.flatten(1).argmax(1)
    cells = strength.shape[-1]
    corner = torch.stack([cell % cells, torch.div(cell, cells, rounding_mode="floor")], 1)
    at = (corner + shapes.place) * CELL
    reach = shapes.radius[:, None] + 1
    return torch.minimum(torch.maximum(at, reach), side - reach)


def _tones(images: Tensor) -> tuple[Tensor, Tensor]:
    """The mean colours (B, C, 1, 1) of what is darker and of what is brighter than the picture's middle grey."""
    grey = _grey(images)
    middle = (grey.amin((2, 3), keepdim=True) + grey.amax((2, 3), keepdim=True)) / 2
    bright = (grey > middle).to(images)

    def mean(weight: Tensor) -> Tensor:
        return (images * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1)

    return mean(1 - bright), mean(bright)


def _grey(images: Tensor) -> Tensor:
    return images.mean(1, keepdim=True)


def _shifted(images: Tensor, offset: Tensor) -> Tensor:
    """Each picture moved by whole pixels, so that (x, y) shows what was at (x, y) + offset; ends repeat."""
    side = images.shape[-1]
    line = torch.arange(side, device=images.device)
    columns = (line + offset[:, :1]).clamp(0, side - 1)
    rows = (line + offset[:, 1:]).clamp(0, side - 1)
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    return images[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _turned(shapes: Shapes, at: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Distances (B, S, S) of all pixel centres from the defect's, along its longer and its shorter side."""
    line = torch.arange(side, device=at.device) + 0.5
    x = (line - at[:, :1])[:, None, :]
    y = (line - at[:, 1:])[:, :, None]
    cos, sin = shapes.angle.cos()[:, None, None], shapes.angle.sin()[:, None, None]
    return x * cos + y * sin, y * cos - x * sin


def _blob(shapes: Shapes, at: Tensor, side: int) -> Tensor:
    """Cover (B, 1, S, S) in [0, 1] of ragged ovals, within ``radius`` of ``at``; soft over one pixel."""
    along, across = _turned(shapes, at, side)
    across = across / shapes.aspect[:, None, None]
    distance, direction = torch.hypot(along, across), torch.atan2(across, along)
    amplitude = 0.25 * shapes.waves[..., 0]
    outline = torch.ones_like(distance)
    for wave in range(WAVES):
        phase = 2 * math.pi * shapes.waves[:, wave, 1]
        outline += amplitude[:, wave, None, None] * torch.sin((wave + 2) * direction + phase[:, None, None])
    outline = outline / (1 + amplitude.sum(1))[:, None, None]
    return (shapes.radius[:, None, None] * outline - distance + 0.5).clamp(0, 1)[:, None]


def _box(shapes: Shapes, at: Tensor, side: int) -> Tensor:
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


def _unit(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device)
