"""What an autoencoder's input loses and its target keeps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_pcb.augment.defects.paint import paint_defects
from ssl_pcb.config.method import AutoencoderConfig


def corrupt(images: Tensor, config: AutoencoderConfig, generator: torch.Generator) -> Tensor:
    """The input that belongs to the target ``images`` (B, C, S, S) in [0, 1], which are not changed."""
    match config.corruption:
        case "none":
            return images
        case "noise":
            return add_noise(images, config.noise, generator)
        case "mask":
            return hide_squares(images, config.mask_ratio, config.mask_size, generator)
        case "defect":
            return paint_defects(images, config.defect, generator).images


def add_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of one standard deviation (Vincent et al. 2008, denoising autoencoders); stays in [0, 1]."""
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return noise.mul_(deviation).add_(images).clamp_(0, 1)


def hide_squares(images: Tensor, ratio: float, side: int, generator: torch.Generator) -> Tensor:
    """Fill a share of the squares of a grid with the image's mean colour.

    Args:
        images: (B, C, S, S).
        ratio: Share of the squares that is hidden, the same number in every image, never none or all.
        side: Side of a square in pixels; the last ones are cut where S is no multiple.
        generator: Source of randomness.
    """
    count, _, size, _ = images.shape
    cells = math.ceil(size / side)
    hidden = min(max(1, round(ratio * cells**2)), max(1, cells**2 - 1))
    draw = torch.rand(count, cells**2, generator=generator, device=images.device)
    mask = (draw.argsort(1).argsort(1) < hidden).view(count, 1, cells, cells)
    mask = mask.repeat_interleave(side, 2).repeat_interleave(side, 3)[..., :size, :size]
    return torch.where(mask, images.mean((2, 3), keepdim=True), images)
