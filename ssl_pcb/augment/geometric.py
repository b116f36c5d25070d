"""Where the pixels of a view come from: one affine map per sample, drawn so that the sample stays in view."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.augment.draws import unit
from ssl_pcb.config.augment import GeometryConfig, RandomCropConfig

# The eight symmetries of the square as 2x2 matrices acting on (x, y).
SYMMETRIES = (
    ((1, 0), (0, 1)),
    ((-1, 0), (0, 1)),
    ((1, 0), (0, -1)),
    ((-1, 0), (0, -1)),
    ((0, 1), (1, 0)),
    ((0, -1), (1, 0)),
    ((0, 1), (-1, 0)),
    ((0, -1), (-1, 0)),
)


def draw_maps(config: GeometryConfig, count: int, generator: torch.Generator) -> Tensor:
    """Draw one affine map per sample, from view to sample coordinates.

    Both squares span [-1, 1] in x and y. Where crops are off, the inverse map takes the whole sample into
    the view: the scale is at most ``(1 - |shift|) / (|cos| + |sin|)``, the largest at which the turned and
    shifted square still fits. Random crops replace rotation, translation and shrinking.

    Args:
        config: Strengths.
        count: Number of samples B.
        generator: Source of randomness; the maps live on its device.

    Returns:
        (B, 2, 3) float32, in the convention of ``torch.nn.functional.affine_grid``.
    """
    symmetry = _draw_symmetries(config.symmetries, count, generator)
    if config.random_crop is not None:
        return _draw_crops(config.random_crop, symmetry, generator)
    angle = _uniform(count, generator) * math.radians(config.rotation)
    shift = torch.stack([_uniform(count, generator), _uniform(count, generator)], 1) * 2 * config.translation
    fit = (1 - shift.abs().amax(1)) / (angle.cos().abs() + angle.sin().abs())
    scale = fit * (1 - config.shrink * unit(count, generator))
    cos, sin = angle.cos(), angle.sin()
    unturn = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)
    linear = symmetry.transpose(1, 2) @ unturn / scale[:, None, None]
    return torch.cat([linear, -linear @ shift[:, :, None]], 2)


def misaligned(maps: Tensor, most: int, size: int, generator: torch.Generator) -> Tensor:
    """``maps`` to samples that lie elsewhere by up to ``most`` whole pixels of ``size`` along each axis."""
    pixels = torch.randint(-most, most + 1, (len(maps), 2, 1), generator=generator, device=maps.device)
    return torch.cat([maps[:, :, :2], maps[:, :, 2:] + pixels * (2 / size)], 2)


def warp(pixels: Tensor, maps: Tensor, size: int, *, exact: bool = False) -> Tensor:
    """Resample every sample once through its map.

    Args:
        pixels: (B, C, H, H) float samples with their ring of surroundings, H >= ``size``; what lies beyond
            the ring is the mirror image of ring and sample.
        maps: (B, 2, 3) from :func:`draw_maps`.
        size: Side of the sample without its ring, and of the view, in pixels.
        exact: Whether all maps are symmetries of the square: pixels move as they are.

    Returns:
        (B, C, size, size), bilinear unless exact.
    """
    grid = _grid(maps * (size / pixels.shape[-1]), size).to(pixels.dtype)
    mode = "nearest" if exact else "bilinear"
    return F.grid_sample(pixels, grid, mode, padding_mode="reflection", align_corners=False)


def boxes_in_view(boxes: Tensor, maps: Tensor, size: int) -> Tensor:
    """Corners of sample boxes as they appear in the view.

    Args:
        boxes: (B, 4) ``x1 y1 x2 y2`` in sample pixels.
        maps: (B, 2, 3) from :func:`draw_maps`.
        size: Side of sample and view in pixels.

    Returns:
        (B, 4, 2) corner points in view pixels, in order around the box.
    """
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).to(maps) * 2 / size - 1
    moved = (corners - maps[:, None, :, 2]) @ torch.linalg.inv(maps[:, :, :2]).transpose(1, 2)
    points: Tensor = (moved + 1) * size / 2
    return points


def _grid(maps: Tensor, size: int) -> Tensor:
    # torch's affine_grid, whose thin matrix products take ten times as long on a CPU as these sums.
    centres = (2 * torch.arange(size, device=maps.device, dtype=maps.dtype) + 1) / size - 1
    across = centres[:, None] * maps[:, None, :, 0]
    down = centres[:, None] * maps[:, None, :, 1] + maps[:, None, :, 2]
    return across[:, None] + down[:, :, None]


@cache
def _symmetries(device: torch.device) -> Tensor:  # copied to a GPU once: it would wait for each copy
    return torch.tensor(SYMMETRIES, dtype=torch.float32, device=device)


def _draw_symmetries(enabled: bool, count: int, generator: torch.Generator) -> Tensor:
    table = _symmetries(generator.device)
    picks = torch.randint(len(SYMMETRIES) if enabled else 1, (count,), generator=generator, device=generator.device)
    return table[picks]


def _draw_crops(config: RandomCropConfig, symmetry: Tensor, generator: torch.Generator) -> Tensor:
    count = len(symmetry)
    area = config.min_area + (config.max_area - config.min_area) * unit(count, generator)
    aspect = torch.exp(_uniform(count, generator) * math.log(config.max_aspect))
    half = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], 1).clamp(max=1)
    centre = torch.stack([_uniform(count, generator), _uniform(count, generator)], 1) * (1 - half)
    return torch.cat([torch.diag_embed(half) @ symmetry, centre[:, :, None]], 2)


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return 2 * unit(count, generator) - 1
