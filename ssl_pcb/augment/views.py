"""From stored pixels to the images that a network sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.profiler import record_function

from ssl_pcb.augment.geometric import draw_maps, misaligned, warp
from ssl_pcb.augment.photometric import Light, draw_light, relight
from ssl_pcb.config.augment import ViewConfig

GROUP_VALUES = 2**21
"""Stored values that are augmented at once on a CPU, so that memory is reused while still in its cache."""


@dataclass(frozen=True)
class ViewDraw:
    """The random part of a batch of views. Applying it is deterministic.

    Attributes:
        maps: (B, 2, 3) from views to samples.
        light: On them.
        golden: The same of the golden images beside them, ``None`` = there are none.
    """

    maps: Tensor
    light: Light
    golden: ViewDraw | None = None


@dataclass(frozen=True)
class ViewMaker:
    """Makes random views of stored samples.

    A golden image is shown as its sample is, but for a little shift, and under a light of its own: it was taken on
    another day.

    Attributes:
        config: Strengths.
        size: Side of sample and view, in pixels.
        context: Pixels of it on each side that surround the sample itself.
        references: Whether the second half of the channels is a golden image.
    """

    config: ViewConfig
    size: int
    context: int = 0
    references: bool = False

    @property
    def aside(self) -> float:
        """Share of a view's side, on each side of it, that surrounds the sample itself."""
        return self.context / self.size

    def draw(self, count: int, channels: int, generator: torch.Generator) -> ViewDraw:
        """Draw ``count`` views for samples of ``channels`` channels, on the generator's device."""
        if self.references:
            channels //= 2
        shape = count, channels, self.size, self.size
        maps = draw_maps(self.config.geometry, count, generator)
        light = draw_light(self.config.photometry, shape, generator)
        if not self.references:
            return ViewDraw(maps, light)
        apart = misaligned(maps, self.config.geometry.misalignment, self.size, generator)
        return ViewDraw(maps, light, ViewDraw(apart, draw_light(self.config.photometry, shape, generator)))

    def apply(self, pixels: Tensor, draw: ViewDraw) -> Tensor:
        """Make the drawn views of (B, C, H, H) uint8 pixels; returns (B, C, size, size) float in [0, 1]."""
        if draw.golden is None:
            return relight(self.move(pixels, draw.maps), draw.light)
        pixels, golden = pixels.chunk(2, 1)
        return torch.cat([self.apply(pixels, replace(draw, golden=None)), self.apply(golden, draw.golden)], 1)

    def move(self, pixels: Tensor, maps: Tensor) -> Tensor:
        """The geometry of ``maps`` alone: what stands before the camera, for painting on, before light and sensor."""
        if self.config.geometry.still:
            return plain_view(pixels, self.size)
        if not self.config.geometry.surroundings:
            pixels = centre(pixels, self.size)
        moved = warp(pixels.float(), maps, self.size, exact=self.config.geometry.exact)
        return moved.div_(255)

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """One random view of each of the (B, C, H, H) uint8 pixels."""
        return self.with_maps(pixels, generator)[0]

    def with_maps(self, pixels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One random view of each of the (B, C, H, H) uint8 pixels, and the maps (B, 2, 3) from views to samples."""
        group = max(1, GROUP_VALUES // pixels.shape[1:].numel()) if pixels.is_cpu else max(1, len(pixels))
        images, maps = [], []
        with record_function("views"):
            for part in torch.split(pixels, group):
                draw = self.draw(len(part), part.shape[1], generator)
                images.append(self.apply(part, draw))
                maps.append(draw.maps)
            return torch.cat(images), torch.cat(maps)


def centre(pixels: Tensor, size: int) -> Tensor:
    """The (B, C, size, size) samples without their ring of surroundings."""
    margin = (pixels.shape[-1] - size) // 2
    return pixels[..., margin : margin + size, margin : margin + size]


def plain_view(pixels: Tensor, size: int) -> Tensor:
    """What evaluation sees: the sample itself, as (B, C, size, size) float in [0, 1]."""
    return centre(pixels, size).float().div_(255)
