"""Light that changed: of the lamp, of where it falls, of its colour.

Pictures are (B, C, S, S) in [0, 1], C = 1 or 3, as the camera encodes them; so are the results.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_pcb.augment.draws import signs, unit
from ssl_pcb.augment.photometric import Light, relight

WHITE = 6500.0
"""Kelvin of the light that the camera's white balance was set under."""
WAVELENGTHS = (600e-9, 540e-9, 450e-9)
"""Metres: where a colour camera's red, green and blue pixels see most."""
SECOND_RADIATION = 1.4388e-2
"""Metre Kelvin: hc/k of Planck's law."""
GAMMA = 2.2
"""Of the encoding: a light twice as strong makes a value 2^(1/2.2) times as large."""


def brighten(images: Tensor, offset: float) -> Tensor:
    """``offset`` of full scale more in every value (Hendrycks and Dietterich 2019, arXiv 1903.12261)."""
    return relight(images, _light(images, brightness=offset))


def darken(images: Tensor, offset: float) -> Tensor:
    """``offset`` of full scale less in every value."""
    return relight(images, _light(images, brightness=-offset))


def flatten_contrast(images: Tensor, factor: float) -> Tensor:
    """Distances to the picture's mean times ``factor`` (Hendrycks and Dietterich 2019)."""
    return relight(images, _light(images, contrast=factor))


def _light(images: Tensor, *, contrast: float | None = None, brightness: float | None = None) -> Light:
    def same(strength: float | None) -> Tensor | None:
        return None if strength is None else torch.full((1, 1, 1, 1), strength, device=images.device)

    return Light(None, same(contrast), same(brightness), None, None)


def slope_light(images: Tensor, slope: float, generator: torch.Generator) -> Tensor:
    """Light that rises evenly from ``1 - slope`` at one corner or edge to ``1 + slope`` at the opposite one.

    Each picture has its own direction.
    """
    angle = (2 * math.pi * unit(len(images), generator))[:, None, None]
    axis = _axis(images)
    ramp = angle.cos() * axis + angle.sin() * axis[:, None]
    ramp = ramp / (angle.cos().abs() + angle.sin().abs())
    return (images * (1 + slope * ramp)[:, None]).clamp(0, 1)


def glare(images: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    """A lamp's reflection: white out to half of ``radius``, a share of the side, and fading out from there to it.

    Its middle lies anywhere in the picture.
    """
    x, y = ((2 * unit(len(images), generator) - 1)[:, None, None] for _ in range(2))
    axis = _axis(images)
    distance = ((axis - x) ** 2 + (axis[:, None] - y) ** 2).sqrt() / 2  # the side is 2 long here
    cover = ((radius - distance) / (radius / 2)).clamp(0, 1)[:, None]
    return images + cover * (1 - images)


def tint(images: Tensor, mired: float, generator: torch.Generator) -> Tensor:
    """Light of another colour temperature, ``mired`` (10^6 / Kelvin) off :data:`WHITE`, warmer or cooler.

    Each of the three colours (C = 3) gets what a black body of that temperature sends of it, green held fast.
    """
    assert images.shape[1] == len(WAVELENGTHS)
    kelvin = 1e6 / (1e6 / WHITE + signs(len(images), generator) * mired)
    gains = _radiance(kelvin) / _radiance(torch.full_like(kelvin, WHITE))
    encoded = (gains / gains[:, 1:2]) ** (1 / GAMMA)
    return (images * encoded[:, :, None, None]).clamp(0, 1)


def _radiance(kelvin: Tensor) -> Tensor:
    """(B, 3) Planck's law at :data:`WAVELENGTHS`, but for a factor that each wavelength has of its own."""
    waves = torch.tensor(WAVELENGTHS, device=kelvin.device)
    return 1 / torch.expm1(SECOND_RADIATION / (waves * kelvin[:, None]))


def _axis(images: Tensor) -> Tensor:
    """(S,) places of pixel centres from -1 to 1."""
    size = images.shape[-1]
    return (2 * torch.arange(size, device=images.device) + 1) / size - 1
