"""What light and sensor do to a view: each sample draws its own strengths."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from ssl_pcb.config.augment import PhotometryConfig

FIELD = 2**18
"""Numbers of noise that a CPU draws for a batch of views, or two images' worth if that is more."""


@dataclass(frozen=True)
class Light:
    """Drawn strengths of B samples.

    Attributes:
        gamma: (B, 1, 1, 1) exponents, or ``None`` for no change.
        contrast: (B, 1, 1, 1) factors about each image's mean, or ``None`` for no change.
        brightness: (B, 1, 1, 1) offsets of full scale, or ``None`` for no change.
        kernel: (B, K) blur kernels that sum to 1, or ``None`` for no blur.
        noise: (B, C, S, S) additive noise, or ``None`` for no noise.
        quality: (B,) JPEG qualities, 5 to 100, or ``None`` for no compression.
    """

    gamma: Tensor | None
    contrast: Tensor | None
    brightness: Tensor | None
    kernel: Tensor | None
    noise: Tensor | None
    quality: Tensor | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to apply."""
        return any(getattr(self, each.name) is not None for each in fields(self))


def draw_light(config: PhotometryConfig, shape: tuple[int, int, int, int], generator: torch.Generator) -> Light:
    """Draw strengths for views of ``shape`` (B, C, S, S) on the generator's device."""

    def unit() -> Tensor:
        return torch.rand(shape[0], 1, 1, 1, generator=generator, device=generator.device)

    def around(strength: float) -> Tensor:
        return (2 * unit() - 1) * strength

    return Light(
        gamma=1 + around(config.gamma) if config.gamma else None,
        contrast=1 + around(config.contrast) if config.contrast else None,
        brightness=around(config.brightness) if config.brightness else None,
        kernel=_kernels(unit()[:, 0, 0] * config.blur, config.blur) if config.blur else None,
        noise=_noise(shape, unit() * config.noise, generator) if config.noise else None,
        quality=100 - (unit()[:, 0, 0, 0] * config.jpeg).round().int() if config.jpeg else None,
    )


def relight(images: Tensor, light: Light) -> Tensor:
    """Apply gamma, contrast, brightness, blur, noise and JPEG to (B, C, S, S) images in [0, 1]; stays in [0, 1]."""
    if not light.changes:
        return images
    # In place on our own copy: on a CPU most of the time would go into fresh memory.
    images = images.clamp(0, 1)
    if light.gamma is not None:
        images.pow_(light.gamma)
    if light.contrast is not None:
        mean = images.mean((1, 2, 3), keepdim=True)
        images.mul_(light.contrast).add_(mean * (1 - light.contrast))
    if light.brightness is not None:
        images.add_(light.brightness)
    if light.contrast is not None or light.brightness is not None:
        images.clamp_(0, 1)
    if light.kernel is not None:
        images = _blur(images, light.kernel)
    if light.noise is not None:
        images = images.add_(light.noise).clamp_(0, 1)
    if light.quality is not None:
        images = _compressed(images, light.quality)
    return images


def _kernels(sigma: Tensor, largest: float) -> Tensor:
    radius = max(1, math.ceil(3 * largest))
    steps = torch.arange(-radius, radius + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (steps / sigma.clamp(min=1e-3)) ** 2)
    return weights / weights.sum(1, keepdim=True)


def _noise(shape: tuple[int, int, int, int], strength: Tensor, generator: torch.Generator) -> Tensor:
    if generator.device.type != "cpu":
        return torch.randn(shape, generator=generator, device=generator.device).mul_(strength)
    # A CPU draws normal numbers one by one, and slowly: each view reads a stretch of fewer of them, from a place
    # of its own. Within a view all are independent, and hardly ever have two views the same at one place.
    length = math.prod(shape[1:])
    field = torch.randn(min(shape[0] * length, max(2 * length, FIELD)), generator=generator)
    starts = torch.randint(len(field) - length + 1, (shape[0],), generator=generator)
    return torch.stack([field[start : start + length] for start in starts.tolist()]).view(shape).mul_(strength)


def _compressed(images: Tensor, quality: Tensor) -> Tensor:
    """Encoded and decoded, on the CPU, each image with its own quality; an image and its golden one apart."""
    pixels = images.mul(255).round_().byte().cpu()
    colours = 3 if images.shape[1] % 3 == 0 else 1
    found = [
        torch.cat([F.jpeg(part, level) for part in each.split(colours)])
        for each, level in zip(pixels, quality.tolist(), strict=True)
    ]
    return torch.stack(found).to(images.device, images.dtype).div_(255)


def _blur(images: Tensor, kernel: Tensor) -> Tensor:
    # Sums of shifted images: per-sample kernels as a grouped convolution are many times slower on a CPU, and as
    # matrices along each axis still four times.
    radius, weights, pair = kernel.shape[1] // 2, kernel[:, :, None, None, None], torch.empty_like(images)
    for axis in (2, 3):
        size = images.shape[axis]
        before, after = images.narrow(axis, 0, radius), images.narrow(axis, size - radius, radius)
        wide = torch.cat([before.flip(axis), images, after.flip(axis)], axis)
        images = images * weights[:, radius]
        for step in range(1, radius + 1):
            torch.add(wide.narrow(axis, radius - step, size), wide.narrow(axis, radius + step, size), out=pair)
            images.addcmul_(pair, weights[:, radius + step])
    return images
