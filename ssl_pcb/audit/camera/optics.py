"""Blur of a lens out of focus and of a board that moves, by convolution with what a point becomes.

Pictures are (B, C, H, H) floats. Beyond their edge lies their mirror image.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.augment.draws import unit

FINENESS = 32
"""Points across a pixel that decide how much of it a disk or a line covers."""


def defocus(images: Tensor, radius: float) -> Tensor:
    """A lens out of focus makes each point a disk of ``radius`` pixels (Hendrycks and Dietterich 2019)."""
    return _convolve(images, disk(radius).to(images)[None].expand(len(images), -1, -1))


def motion_blur(images: Tensor, length: float, generator: torch.Generator) -> Tensor:
    """A board that moves ``length`` pixels while the shutter is open makes each point a line; directions are drawn."""
    return _convolve(images, lines(math.pi * unit(len(images), generator), length))


def disk(radius: float) -> Tensor:
    """(K, K) share of a disk that falls on each pixel; sums to 1."""
    reach = max(1, math.ceil(radius - 0.5))
    side = 2 * reach + 1
    axis = (torch.arange(side * FINENESS) + 0.5) / FINENESS - side / 2
    inside = (axis**2 + axis[:, None] ** 2 <= radius**2).float()
    covered = F.avg_pool2d(inside[None], FINENESS)[0]
    return covered / covered.sum()


def lines(angles: Tensor, length: float) -> Tensor:
    """(B, K, K) share of a line through the middle that falls on each pixel, at ``angles`` (B,); each sums to 1."""
    reach = math.ceil(length / 2)
    count = FINENESS * max(1, round(length))
    along = ((torch.arange(count, device=angles.device) + 0.5) / count - 0.5) * length
    pixels = torch.arange(-reach, reach + 1, device=angles.device)

    def near(places: Tensor) -> Tensor:  # (B, points, K): a point between two pixels belongs to both
        return (1 - (places[..., None] - pixels).abs()).clamp(min=0)

    across, down = angles.cos()[:, None] * along, angles.sin()[:, None] * along
    return torch.einsum("bpy,bpx->byx", near(down), near(across)) / count


def _convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Each picture with its own kernel (B, K, K), which is symmetric about its middle."""
    count, channels, height, width = images.shape
    reach = kernels.shape[-1] // 2
    wide = F.pad(images, (reach,) * 4, mode="reflect").reshape(1, count * channels, height + 2 * reach, -1)
    weights = kernels.repeat_interleave(channels, 0)[:, None]
    return F.conv2d(wide, weights, groups=count * channels).view(count, channels, height, width)
