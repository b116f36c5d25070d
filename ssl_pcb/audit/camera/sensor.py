"""What sensor and storage do to a picture."""

from __future__ import annotations

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from ssl_pcb.augment.corruption import add_noise

READ_NOISE = 0.2
"""Standard deviation of the read noise beside the photon noise of white, of one pixel."""


def sensor_noise(images: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """Photon noise (Poisson) and read noise (Gaussian) of a pixel that holds ``photons`` when it is white.

    The fewer there are, the noisier: white has a standard deviation of ``photons ** -0.5``, black of
    :data:`READ_NOISE` times that.

    Args:
        images: (B, C, S, S) in [0, 1]; so is the result.
        photons: How many make white.
        generator: Source of randomness.
    """
    counted = torch.poisson(images * photons, generator=generator) / photons
    return add_noise(counted, READ_NOISE * photons**-0.5, generator)


def compress(pixels: Tensor, quality: int) -> Tensor:
    """(B, C, S, S) uint8 after JPEG of ``quality`` 1 to 100 (Hendrycks and Dietterich 2019)."""
    compressed: Tensor = F.jpeg(pixels.cpu(), quality)
    return compressed.to(pixels.device)


def coarsen(images: Tensor, share: float) -> Tensor:
    """(B, C, S, S) seen by a camera with ``share`` as many pixels along a side, and enlarged again."""
    side = images.shape[-1]
    smaller = max(1, round(share * side))
    small = F.resize(images, [smaller, smaller], antialias=True)
    large: Tensor = F.resize(small, [side, side], antialias=True)
    return large.clamp(0, 1)
