"""From figures to the layers of a board: boolean arrays, finer than the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssl_pcb.data.synthetic.layout import Layout, Segment
from ssl_pcb.data.synthetic.shapes import EXTENT, BoolArray, raster, smooth_noise
from ssl_pcb.data.synthetic.styles import Rules

_FINEST = 2  # layer pixels per unit at least, so that small images have well-formed defects too


def supersampling(image_size: int) -> int:
    """Layer pixels along one image pixel: 2, or more for images below 128 px."""
    return max(2, math.ceil(_FINEST * EXTENT / image_size))


@dataclass(frozen=True)
class Layers:
    """The layers of one place, each (S, S) boolean with S = supersampling * image size.

    Attributes:
        copper: Etched copper, holes excluded.
        opening: Where no solder mask covers the board.
        hole: Drilled holes.
        silk: Silkscreen print.
        segments: Straight pieces of traces, in units.
        scale: Layer pixels per unit.
    """

    copper: BoolArray
    opening: BoolArray
    hole: BoolArray
    silk: BoolArray
    segments: tuple[Segment, ...]
    scale: float


def etch(layout: Layout, rules: Rules, image_size: int, rng: np.random.Generator) -> Layers:
    """Draw and etch a layout: corners become round, edges slightly uneven, fills keep their clearance."""
    side = supersampling(image_size) * image_size
    scale = side / EXTENT
    copper = raster(layout.copper, side, scale)
    if layout.pours:
        moat = raster(layout.copper, side, scale, grow=1.15 * rules.space)
        copper = copper | _without_slivers(raster(layout.pours, side, scale) & ~moat, rules.trace * scale)
    ragged = smooth_noise(rng, side, 2.0 * scale) + 0.7 * smooth_noise(rng, side, 5.0 * scale)
    level: NDArray[np.float32] = ndimage.gaussian_filter(copper.astype(np.float32), 0.8 * scale, truncate=2.5)
    hole = raster(layout.holes, side, scale)
    opening = raster(layout.openings, side, scale)
    silk = raster(layout.silk, side, scale) & ~raster(layout.openings, side, scale, grow=1.0) & ~hole
    etched = (level + rules.roughness * ragged) > 0.5
    # The noise alone must not make copper or holes where the layout has none.
    etched = (etched & (level > 0.2)) | (level > 0.8)
    return Layers(etched & ~hole, opening, hole, silk, tuple(layout.segments), scale)


def _without_slivers(fill: BoolArray, width: float) -> BoolArray:
    """Remove the parts of a fill that are thinner than ``width`` pixels, and small islands."""
    size = 2 * round(width / 2) + 1
    eroded: BoolArray = ndimage.minimum_filter(fill, size, mode="nearest")
    opened: BoolArray = ndimage.maximum_filter(eroded, size, mode="nearest") & fill
    labels, _ = ndimage.label(opened)
    large = np.bincount(labels.ravel()) > 60 * width
    large[0] = False
    kept: BoolArray = large[labels]
    return kept
