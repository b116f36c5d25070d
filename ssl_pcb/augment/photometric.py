"""What light and sensor do to a view: each sample draws its own strengths."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.config.augment import PhotometryConfig


@dataclass(frozen=True)
class Light:
    """Drawn strengths of B samples.

    Attributes:
        gamma: (B, 1, 1, 1) exponents.
        contrast: (B, 1, 1, 1) factors about each image's mean.
        brightness: (B, 1, 1, 1) offsets of full scale.
        kernel: (B, K) blur kernels that sum to 1, or ``None`` for no blur.
        noise: (B, C, S, S) additive noise, or ``None`` for no noise.
    """

    gamma: Tensor
    contrast: Tensor
    brightness: Tensor
    kernel: Tensor | None
    noise: Tensor | None


def draw_light(config: PhotometryConfig, shape: tuple[int, int, int, int], generator: torch.Generator) -> Light:
    """Draw strengths for views of ``shape`` (B, C, S, S) on the generator's device."""

    def unit() -> Tensor:
        return torch.rand(shape[0], 1, 1, 1, generator=generator, device=generator.device)

    def around(strength: float) -> Tensor:
        return (2 * unit() - 1) * strength

    return Light(
        gamma=1 + around(config.gamma),
        contrast=1 + around(config.contrast),
        brightness=around(config.brightness),
        kernel=_kernels(unit()[:, 0, 0] * config.blur, config.blur) if config.blur else None,
        noise=_noise(shape, unit() * config.noise, generator) if config.noise else None,
    )


def relight(images: Tensor, light: Light) -> Tensor:
    """Apply gamma, contrast, brightness, blur and noise to (B, C, S, S) images in [0, 1]; stays in [0, 1]."""
    # In place on our own copy: on a CPU most of the time would go into fresh memory.
    images = images.clamp(0, 1).pow_(light.gamma)
    mean = images.mean((1, 2, 3), keepdim=True)
    images.mul_(light.contrast).add_(mean * (1 - light.contrast) + light.brightness).clamp_(0, 1)
    if light.kernel is not None:
        images = _blur(images, light.kernel)
    if light.noise is not None:
        images = images.add_(light.noise).clamp_(0, 1)
    return images


def _kernels(sigma: Tensor, largest: float) -> Tensor:
    radius = max(1, math.ceil(3 * largest))
    steps = torch.arange(-radius, radius + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (steps / sigma.clamp(min=1e-3)) ** 2)
    return weights / weights.sum(1, keepdim=True)


def _noise(shape: tuple[int, int, int, int], strength: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device).mul_(strength)


def _blur(images: Tensor, kernel: Tensor) -> Tensor:
    # Along one axis a blur is an (S, S) matrix, a mixture of shifts with mirrored ends. Per-sample kernels as
    # a grouped convolution are many times slower on a CPU.
    size, radius = images.shape[-1], kernel.shape[1] // 2
    steps = torch.arange(-radius, radius + 1, device=images.device)
    source = (torch.arange(size, device=images.device) + steps[:, None]).remainder(2 * size)
    mirrored = torch.minimum(source, 2 * size - 1 - source)
    shifts = F.one_hot(mirrored, size).to(images.dtype)
    blur = (kernel @ shifts.flatten(1)).view(-1, 1, size, size)
    return blur @ images @ blur.mT
