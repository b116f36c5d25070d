"""From figures to the layers of a board: boolean arrays, finer than the image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssl_pcb.data.synthetic.layout import Layout, Segment
from ssl_pcb.data.synthetic.shapes import EXTENT, BoolArray, Point, Shape, raster, smooth_noise
from ssl_pcb.data.synthetic.styles import Rules

_FINEST = 2  # layer pixels per unit at least, so that small images have well-formed defects too


def supersampling(image_size: int, zoom: float) -> int:
    """Layer pixels along one image pixel: 2, or more where an image has fewer pixels than units."""
    return max(2, math.ceil(_FINEST * EXTENT / zoom / image_size))


def look_closer(layout: Layout, zoom: float, rng: np.random.Generator) -> Layout:
    """A random part of a place, of 1 / ``zoom`` of its side; the figures move so that it begins at (0, 0)."""
    left, top = rng.uniform(0, EXTENT * (1 - 1 / zoom), 2)

    def moved(point: Point) -> Point:
        return (point[0] - float(left), point[1] - float(top))

    def all_moved(shapes: list[Shape]) -> list[Shape]:
        return [replace(shape, points=tuple(map(moved, shape.points))) for shape in shapes]

    return Layout(
        copper=all_moved(layout.copper),
        openings=all_moved(layout.openings),
        holes=all_moved(layout.holes),
        silk=all_moved(layout.silk),
        pours=all_moved(layout.pours),
        segments=[
            (moved(first), moved(second), width)
            for first, second, width in layout.segments
            if all(
                min(a, b) < low + EXTENT / zoom and max(a, b) > low
                for a, b, low in zip(first, second, (left, top), strict=True)
            )
        ],
    )


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


def etch(layout: Layout, rules: Rules, image_size: int, zoom: float, rng: np.random.Generator) -> Layers:
    """Draw and etch a layout ``zoom`` times enlarged: corners become round, edges uneven, fills keep clear."""
    side = supersampling(image_size, zoom) * image_size
    scale = side * zoom / EXTENT
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
