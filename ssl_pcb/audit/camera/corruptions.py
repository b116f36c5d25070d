"""Everything that may go wrong with a board camera, each at five severities.

The first severity is slight, the last one plainly out of order. After Hendrycks and Dietterich 2019 (arXiv
1903.12261), whose strengths are for photographs of 224 px; where those begin with what wipes out a board's tracks,
these begin lower. Lengths are in pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_pcb.audit.camera.light import brighten, darken, flatten_contrast, glare, slope_light, tint
from ssl_pcb.audit.camera.moves import askew
from ssl_pcb.audit.camera.optics import defocus, motion_blur
from ssl_pcb.audit.camera.sensor import coarsen, compress, sensor_noise
from ssl_pcb.augment.views import centre, plain_view

Make = Callable[[Tensor, int, float, torch.Generator], Tensor]
"""Stored pixels (B, C, H, H) uint8, side of the sample, strength, source of randomness: to (B, C, S, S) in [0, 1]."""


@dataclass(frozen=True)
class Corruption:
    """One way in which pictures become worse.

    Attributes:
        name: What it is called in files.
        strengths: Of severity 1 to 5.
        symbol: Of a strength's unit, where it has one.
        meaning: What a strength is the measure of.
        make: Does it.
        colour: Whether only pictures in colour can show it.
    """

    name: str
    strengths: tuple[float, float, float, float, float]
    symbol: str
    meaning: str
    make: Make
    colour: bool = False

    @property
    def unit(self) -> str:
        """What stands behind a strength in a sentence."""
        return f"{self.symbol} {self.meaning}".strip()

    def apply(self, pixels: Tensor, size: int, severity: int, generator: torch.Generator) -> Tensor:
        """Corrupt stored pixels.

        Args:
            pixels: (B, C, H, H) uint8 with their ring of surroundings.
            size: Side S of a sample without it.
            severity: 1 to 5.
            generator: Source of randomness. One in the same state makes the same at any severity, only stronger.

        Returns:
            (B, C, S, S) uint8, as a camera hands them out.
        """
        images = self.make(pixels, size, self.strengths[severity - 1], generator)
        return (images * 255).round().byte()


SEVERITIES = (1, 2, 3, 4, 5)


def corruptions(channels: int) -> list[Corruption]:
    """Those that pictures of so many channels (1 or 3) can show."""
    return [each for each in CORRUPTIONS if channels == 3 or not each.colour]


def _of_sample(change: Callable[[Tensor, float], Tensor]) -> Make:
    return lambda pixels, size, strength, generator: change(plain_view(pixels, size), strength)


def _of_sample_at_random(change: Callable[[Tensor, float, torch.Generator], Tensor]) -> Make:
    return lambda pixels, size, strength, generator: change(plain_view(pixels, size), strength, generator)


def _defocus(pixels: Tensor, size: int, radius: float, generator: torch.Generator) -> Tensor:
    return centre(defocus(pixels / 255, radius), size)


def _motion_blur(pixels: Tensor, size: int, length: float, generator: torch.Generator) -> Tensor:
    return centre(motion_blur(pixels / 255, length, generator), size)


def _compress(pixels: Tensor, size: int, quality: float, generator: torch.Generator) -> Tensor:
    return compress(centre(pixels, size), int(quality)) / 255


CORRUPTIONS = (
    Corruption("brighter", (0.1, 0.2, 0.3, 0.4, 0.5), "", "of full scale added", _of_sample(brighten)),
    Corruption("darker", (0.1, 0.2, 0.3, 0.4, 0.5), "", "of full scale taken away", _of_sample(darken)),
    Corruption("contrast", (0.8, 0.65, 0.5, 0.35, 0.2), "", "of the contrast left", _of_sample(flatten_contrast)),
    Corruption("uneven_light", (0.1, 0.2, 0.3, 0.4, 0.5), "", "of the light more and less at the ends",
               _of_sample_at_random(slope_light)),
    Corruption("glare", (0.1, 0.15, 0.2, 0.25, 0.3), "", "of the side in radius", _of_sample_at_random(glare)),
    Corruption("defocus", (1, 1.5, 2, 3, 4), "px", "in radius", _defocus),
    Corruption("motion_blur", (2, 4, 6, 8, 10), "px", "moved", _motion_blur),
    Corruption("sensor_noise", (1000, 400, 160, 64, 25), "", "photons for white", _of_sample_at_random(sensor_noise)),
    Corruption("jpeg", (80, 50, 25, 15, 7), "", "of 100 in quality", _compress),
    Corruption("resolution", (0.8, 0.65, 0.5, 0.35, 0.25), "", "of the pixels along a side", _of_sample(coarsen)),
    Corruption("colour_temperature", (20, 40, 60, 80, 100), "", "mired off 6500 K", _of_sample_at_random(tint),
               colour=True),
    Corruption("rotation", (0.6, 1.2, 1.8, 2.4, 3.0), "°", "askew", askew),
)  # fmt: skip
