"""Plane figures of a board layout and how they are drawn.

A board place is a window of :data:`EXTENT` x :data:`EXTENT` units, whatever the image size: an image of
128 px shows one unit per pixel, one of 256 px shows the same place at twice the resolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

EXTENT = 128
"""Side of the window in layout units."""

Point = tuple[float, float]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Shape:
    """A polyline with round ends, a disc (one point), or a filled polygon with a rounded rim.

    Attributes:
        points: Vertices (x, y) in layout units.
        width: Stroke width in units: a disc's diameter, twice the rim of a filled polygon.
        filled: Whether the polygon's interior belongs to the figure.
    """

    points: tuple[Point, ...]
    width: float
    filled: bool = False


def disc(centre: Point, diameter: float) -> Shape:
    """A disc."""
    return Shape((centre,), diameter)


def rectangle(centre: Point, width: float, height: float, rim: float = 0.0) -> Shape:
    """An upright rectangle of outer size ``width`` x ``height`` whose corners have radius ``rim``."""
    (x, y), a, b = centre, width / 2 - rim, height / 2 - rim
    return Shape(((x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b)), 2 * rim, filled=True)


def raster(shapes: Iterable[Shape], side: int, scale: float, *, grow: float = 0.0, offset: float = 0.0) -> BoolArray:
    """Draw figures.

    Args:
        shapes: What to draw, in units.
        side: Side of the square result in pixels.
        scale: Pixels per unit.
        grow: Units by which each figure is grown on all sides (a clearance).
        offset: Units by which the figures are moved right and down first.

    Returns:
        (side, side) boolean array.
    """
    canvas = Image.new("L", (side, side))
    draw = ImageDraw.Draw(canvas)
    for shape in shapes:
        _draw(draw, shape, scale, grow, offset)
    return np.frombuffer(canvas.tobytes(), np.uint8).reshape(side, side) > 0


def _draw(draw: ImageDraw.ImageDraw, shape: Shape, scale: float, grow: float, offset: float) -> None:
    # Pillow's pixel centres lie at whole numbers, ours at halves.
    points = [((x + offset) * scale - 0.5, (y + offset) * scale - 0.5) for x, y in shape.points]
    radius = (shape.width / 2 + grow) * scale
    if shape.filled:
        draw.polygon(points, fill=255)
    if radius <= 0:
        return
    ring = [*points, points[0]] if shape.filled else points
    for (x1, y1), (x2, y2) in pairwise(ring):
        length = math.hypot(x2 - x1, y2 - y1)
        if length > 0:
            nx, ny = (y1 - y2) / length * radius, (x2 - x1) / length * radius
            draw.polygon([(x1 + nx, y1 + ny), (x2 + nx, y2 + ny), (x2 - nx, y2 - ny), (x1 - nx, y1 - ny)], fill=255)
    for x, y in points:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def parallel(points: Sequence[Point], distance: float) -> tuple[Point, ...]:
    """The polyline ``distance`` units to the left of ``points``, with mitred corners."""
    line = np.asarray(points, dtype=float)
    step = np.diff(line, axis=0)
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    normal = np.stack([step[:, 1], -step[:, 0]], axis=1)
    before, after = np.vstack([normal[:1], normal]), np.vstack([normal, normal[-1:]])
    mitre = (before + after) / (1 + np.sum(before * after, axis=1, keepdims=True))
    return tuple((float(x), float(y)) for x, y in line + distance * mitre)


def smooth_noise(rng: np.random.Generator, side: int, cell: float) -> NDArray[np.float32]:
    """Noise of unit variance at its knots, correlated over about ``cell`` pixels; (side, side) float32."""
    knots = max(2, round(side / cell) + 1)
    field: Any = Image.fromarray(rng.standard_normal((knots, knots), dtype=np.float32))
    return np.asarray(field.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
