"""Where a defect could go: the tools that find a seat on the copper and judge a proposed change."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ssl_pcb.data.synthetic.layers import Layers
from ssl_pcb.data.synthetic.shapes import BoolArray, Point

_SMALLEST, _LARGEST = 7.0, 42.0  # of the longer side of the changed region, in units
_FRAME = 2.0  # units that a defect keeps from the frame
_BORDER = 5.0  # units from the frame within which no defect is seated

Window = tuple[slice, slice]


def count_pieces(copper: BoolArray) -> int:
    """The number of connected copper pieces (joined along sides)."""
    return int(ndimage.label(copper)[1])


def count_regions(copper: BoolArray) -> int:
    """The number of connected copper-free regions (joined along sides or at corners)."""
    return int(ndimage.label(~copper, np.ones((3, 3)))[1])


def bounds(mask: BoolArray) -> tuple[int, int, int, int]:
    """The tight box x1, y1, x2, y2 (exclusive) of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


class Site:
    """A place to be damaged; lengths are in layer pixels, ``unit`` of which make a layout unit.

    Attributes:
        copper: (S, S) boolean copper.
        nets: (S, S) number of the net each copper pixel belongs to, 0 off the copper.
        closed: (S, S) boolean: holes, and where else no defect may be.
        size: The wanted length of the defect.
    """

    def __init__(self, copper: BoolArray, layers: Layers, forbidden: BoolArray, rng: np.random.Generator) -> None:
        self.copper, self.layers, self.rng = copper, layers, rng
        self.unit = layers.scale
        self.nets, count = ndimage.label(copper)
        self.count = int(count)
        self.closed = forbidden | layers.hole
        self.size = float(np.exp(rng.uniform(np.log(8.0), np.log(30.0)))) * self.unit

    def acceptable(self, change: BoolArray, more: int, regions: int | None) -> bool:
        """Judge a change of the copper.

        Args:
            change: (S, S) boolean: pixels that gain or lose copper.
            more: By how much the number of copper pieces must change.
            regions: The same for the copper-free regions; ``None`` for any number.

        Returns:
            Whether it is in the open, in one piece, of a defect's size, and does this to the copper.
        """
        if not change.any() or (change & self.closed).any():
            return False
        x1, y1, x2, y2 = bounds(change)
        extent = max(x2 - x1, y2 - y1)
        if min(x1, y1, len(change) - x2, len(change) - y2) < _FRAME * self.unit:
            return False
        if not _SMALLEST * self.unit <= extent <= _LARGEST * self.unit:
            return False
        if ndimage.label(change[y1:y2, x1:x2])[1] > 1:
            return False
        after = self.copper ^ change
        if count_pieces(after) - self.count != more:
            return False
        return regions is None or count_regions(after) - self.regions == regions

    @cached_property
    def regions(self) -> int:
        """Number of copper-free regions before the damage."""
        return count_regions(self.copper)

    @cached_property
    def edge(self) -> BoolArray:
        """Copper pixels beside free space, those at holes excepted."""
        inner = self.copper.copy()
        inner[1:-1] &= self.copper[:-2] & self.copper[2:]
        inner[:, 1:-1] &= self.copper[:, :-2] & self.copper[:, 2:]
        edge: BoolArray = self.copper & ~inner & ~ndimage.maximum_filter(self.closed, 5)
        return edge

    @cached_property
    def deep(self) -> BoolArray:
        """Copper at least 2.5 units away from any edge."""
        deep: BoolArray = ndimage.minimum_filter(self.copper, 2 * int(2.5 * self.unit) + 1)
        return deep

    def inside(self, point: Point) -> bool:
        """Whether a point is far enough from the frame."""
        low, high = _BORDER * self.unit, len(self.copper) - _BORDER * self.unit
        return low <= point[0] < high and low <= point[1] < high

    def pick(self, where: BoolArray) -> Point | None:
        """A random true pixel (x, y) away from the frame."""
        edge = int(_BORDER * self.unit)
        inner = where[edge:-edge, edge:-edge]
        found = np.flatnonzero(inner)
        if not len(found):
            return None
        y, x = divmod(int(self.rng.choice(found)), inner.shape[1])
        return float(x + edge), float(y + edge)

    def edge_point(self) -> tuple[Point, Point] | None:
        """A random point on a copper edge, not at a hole, and the outward unit normal there."""
        at = self.pick(self.edge)
        if at is None:
            return None
        reach = int(2 * self.unit)
        x, y = int(at[0]), int(at[1])
        patch = self.copper[y - reach : y + reach + 1, x - reach : x + reach + 1].astype(float)
        offset = np.arange(-reach, reach + 1)
        normal = (-float((patch @ offset).sum()), -float((offset @ patch).sum()))
        length = float(np.hypot(*normal))
        return (at, (normal[0] / length, normal[1] / length)) if length > 0 else None

    def run(self, start: Point, way: Point, copper: bool, limit: float) -> float:
        """How far one can go from ``start`` along ``way`` on copper (or off it), up to ``limit``."""
        steps = np.arange(2.0, limit)
        x = np.rint(start[0] + way[0] * steps).astype(int)
        y = np.rint(start[1] + way[1] * steps).astype(int)
        within = (x >= 0) & (x < len(self.copper)) & (y >= 0) & (y < len(self.copper))
        ends = np.flatnonzero(self.copper[y[within], x[within]] != copper)
        return float(steps[ends[0]]) if len(ends) else limit

    def net_at(self, point: Point) -> int:
        """The net at a point, 0 off the copper."""
        return int(self.nets[round(point[1]), round(point[0])])

    def at_pad(self, point: Point) -> bool:
        """Whether a pad or a hole is at or right beside a point."""
        x, y, near = round(point[0]), round(point[1]), int(2 * self.unit)
        window = slice(max(y - near, 0), y + near + 1), slice(max(x - near, 0), x + near + 1)
        return bool((self.layers.opening[window] | self.layers.hole[window]).any())

    def polygon(self, points: np.ndarray) -> BoolArray:
        """The inside of a polygon given as (N, 2) vertices."""
        canvas = Image.new("L", self.copper.shape[::-1])
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points], fill=255)
        return np.asarray(canvas) > 0

    def blob(self, centre: Point, along: Point, half_length: float, half_width: float) -> BoolArray:
        """An irregular ellipse whose long axis points along ``along``."""
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radius = np.ones(40)
        for order in (2, 3, 4, 6):
            phase = self.rng.uniform(0, 2 * np.pi)
            radius += self.rng.uniform(0, 0.5 / order) * np.cos(order * angle + phase)
        radius /= radius.max()
        forward, sideways = half_length * radius * np.cos(angle), half_width * radius * np.sin(angle)
        return self.polygon(placed(centre, along, forward, sideways))

    def near(self, change: BoolArray, gap: float) -> tuple[Window, BoolArray]:
        """A window around a change and, in it, the change grown by ``gap``."""
        x1, y1, x2, y2 = bounds(change)
        pad = int(gap) + 1
        window = slice(max(y1 - pad, 0), y2 + pad), slice(max(x1 - pad, 0), x2 + pad)
        return window, ndimage.maximum_filter(change[window], 2 * int(gap) + 1)

    def alone(self, added: BoolArray, nets: set[int], gap: float) -> bool:
        """Whether added copper has exactly these nets within ``gap`` pixels."""
        if not added.any():
            return False
        window, grown = self.near(added, gap)
        return set(np.unique(self.nets[window][grown]).tolist()) - {0} == nets


def placed(origin: Point, along: Point, forward: np.ndarray, sideways: np.ndarray) -> np.ndarray:
    """Points given along and across a direction, as (N, 2) x and y."""
    x = origin[0] + forward * along[0] - sideways * along[1]
    y = origin[1] + forward * along[1] + sideways * along[0]
    return np.stack([x, y], axis=1)
