"""One place of a board: pads, traces, buses, vias and copper fills that keep the board's design rules.

Features are proposed at random and kept when they respect the clearance to everything placed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ssl_pcb.data.synthetic.shapes import EXTENT, BoolArray, Point, Shape, disc, parallel, raster, rectangle
from ssl_pcb.data.synthetic.styles import Rules

_MARGIN = 16  # units drawn beyond the window, so that what the frame cuts looks cut and not ended
_COARSE = 0.5  # pixels per unit of the map of occupied places
_HEADINGS = tuple((round(float(np.cos(a)), 9), round(float(np.sin(a)), 9)) for a in np.arange(8) * np.pi / 4)

Segment = tuple[Point, Point, float]


@dataclass
class Layout:
    """Figures of one place, in units; (0, 0) is the window's upper left corner.

    Attributes:
        copper: All copper but the fills.
        openings: Where the solder mask is left open.
        holes: Drilled holes.
        silk: Silkscreen.
        pours: Regions to be filled with copper where the clearance to all other copper allows.
        segments: Straight pieces of traces: both ends and the width.
        terminals: Pads that want a trace: position, net and preferred heading (0 to 7, 45 degrees each).
    """

    copper: list[Shape] = field(default_factory=list)
    openings: list[Shape] = field(default_factory=list)
    holes: list[Shape] = field(default_factory=list)
    silk: list[Shape] = field(default_factory=list)
    pours: list[Shape] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    terminals: list[tuple[Point, int, int]] = field(default_factory=list)


def draw_layout(rules: Rules, rng: np.random.Generator) -> Layout:
    """Draw a place of a board with the given design rules."""
    return _Designer(rules, rng).design()


class _Designer:
    def __init__(self, rules: Rules, rng: np.random.Generator) -> None:
        self.rules, self.rng = rules, rng
        self.layout = Layout()
        self.side = round((EXTENT + 2 * _MARGIN) * _COARSE)
        self.nets = np.zeros((self.side, self.side), dtype=np.int16)
        self.count = 0

    def design(self) -> Layout:
        features = (self.bus, self.power, self.smd_row, self.hole_row)
        for choice in self.rng.choice(4, size=int(self.rng.integers(5, 9)), p=self.rules.mix):
            features[choice]()
        for terminal in list(self.layout.terminals):
            self.trace_from(*terminal)
        for _ in range(int(self.rng.integers(3, 7))):
            self.through_trace()
        for _ in range(int(self.rng.integers(0, 4))):
            self.test_point()
        if self.rng.random() < self.rules.pour:
            self.pour()
        return self.layout

    # What may be where.

    def new_net(self) -> int:
        self.count += 1
        return self.count

    def map(self, shapes: Sequence[Shape], grow: float = 0.0) -> BoolArray:
        """Which places figures occupy, or come too close to."""
        return raster(shapes, self.side, _COARSE, grow=grow, offset=_MARGIN)

    def either(self, first: int, second: int) -> int:
        return first if self.rng.random() < 0.5 else second

    def place(self, shapes: Sequence[Shape], net: int) -> bool:
        """Add copper of ``net`` unless it comes too close to another net."""
        near = self.nets[self.map(shapes, self.rules.space)]
        if ((near != 0) & (near != net)).any():
            return False
        self.nets[self.map(shapes)] = net
        self.layout.copper.extend(shapes)
        return True

    def place_lines(self, path: Sequence[Point], width: float, count: int = 1, pitch: float = 0.0) -> bool:
        """Add ``count`` parallel traces along ``path``, each a net of its own, all or none."""
        band = Shape(tuple(path), width + (count - 1) * pitch)
        if self.nets[self.map([band], self.rules.space)].any():
            return False
        # No net joins a bus or a power trace, so that one mark serves them all.
        self.nets[self.map([band])] = self.new_net()
        for track in range(count):
            line = parallel(path, (track - (count - 1) / 2) * pitch) if count > 1 else tuple(path)
            self.layout.copper.append(Shape(line, width))
            self.layout.segments.extend((a, b, width) for a, b in pairwise(line))
        return True

    # Paths.

    def walk(self, start: Point, heading: int, first: float, turns: int, swerve: bool = False) -> list[Point]:
        """A path of 45 and some 90 degree turns; with ``swerve``, 45 only, and back to the heading after."""
        points, at, way = [start], heading, start
        for turn in range(turns + 1):
            length = first if turn == 0 else float(self.rng.uniform(12, 45))
            if turn == turns and swerve:
                length = 2.5 * EXTENT
            dx, dy = _HEADINGS[at % 8]
            way = (way[0] + dx * length, way[1] + dy * length)
            points.append(way)
            if self.outside(way):
                break
            step = self.either(-1, 1)
            if swerve:
                at = heading + step if at == heading else heading
            else:
                at += step * (2 if self.rng.random() < 0.15 else 1)
        return points

    def outside(self, point: Point) -> bool:
        return not all(-10 < value < EXTENT + 10 for value in point)

    def crossing(self) -> list[Point]:
        """A path from one side of the window through it."""
        side = 2 * int(self.rng.integers(4))
        dx, dy = _HEADINGS[side]
        across = float(self.rng.uniform(-70, 70))
        centre = EXTENT / 2
        start = (centre - 80 * dx - across * dy, centre - 80 * dy + across * dx)
        return self.walk(start, side, float(self.rng.uniform(30, 100)), int(self.rng.integers(0, 4)), swerve=True)

    # Features.

    def bus(self) -> None:
        pitch = self.rules.trace + self.rules.space * float(self.rng.uniform(1.05, 1.4))
        for _ in range(4):
            count = int(self.rng.integers(3, 7))
            if self.place_lines(self.crossing(), self.rules.trace, count, pitch):
                return

    def power(self) -> None:
        for _ in range(4):
            width = self.rules.wide * float(self.rng.uniform(0.8, 1.4))
            if self.place_lines(self.crossing(), width):
                return

    def through_trace(self) -> None:
        for _ in range(4):
            width = self.rules.trace * (1.5 if self.rng.random() < 0.3 else 1.0)
            if self.place_lines(self.crossing(), width):
                return

    def smd_row(self) -> None:
        """A row of rectangular pads, or two that face each other; a silkscreen line marks the body."""
        long, short = float(self.rng.uniform(12, 22)), float(self.rng.uniform(0.9, 1.3)) * self.rules.trace
        pitch = max(short + self.rules.space, float(self.rng.uniform(1.7, 2.4)) * short)
        count, body = int(self.rng.integers(2, 7)), float(self.rng.uniform(14, 40))
        rows = (-1, 1) if self.rng.random() < 0.6 else (1,)
        turned = bool(self.rng.random() < 0.5)
        for _ in range(4):
            cx, cy = self.rng.uniform(0, EXTENT, 2)
            pads, ends = [], []
            for row in rows:
                for number in range(count):
                    along, across = (number - (count - 1) / 2) * pitch, row * (body + long) / 2
                    size = (long, short) if turned else (short, long)
                    centre = (cx + across, cy + along) if turned else (cx + along, cy + across)
                    pads.append(rectangle(centre, *size, rim=0.8))
                    ends.append((centre, (0 if row > 0 else 4) if turned else (2 if row > 0 else 6)))
            if self.place_pads(pads, ends):
                inner = max(body - 8.0, 4.0)
                outer = count * pitch
                self.outline((cx, cy), *((inner, outer) if turned else (outer, inner)))
                return

    def hole_row(self) -> None:
        """One to four plated holes in a line."""
        pad = self.rules.pad * float(self.rng.uniform(0.85, 1.15))
        count, way = int(self.rng.integers(1, 5)), self.either(0, 2)
        pitch = (pad + self.rules.space) * float(self.rng.uniform(1.1, 1.5))
        dx, dy = _HEADINGS[way]
        for _ in range(4):
            x, y = self.rng.uniform(0, EXTENT, 2)
            centres = [(x + dx * pitch * number, y + dy * pitch * number) for number in range(count)]
            squares = self.rng.random(count) < self.rules.square
            pads = [
                rectangle(centre, pad, pad, rim=0.8) if square else disc(centre, pad)
                for centre, square in zip(centres, squares, strict=True)
            ]
            headings = [way + self.either(2, 6) for _ in centres]
            if self.place_pads(pads, list(zip(centres, headings, strict=True))):
                self.layout.holes.extend(disc(centre, pad * self.rules.drill) for centre in centres)
                return

    def place_pads(self, pads: list[Shape], ends: list[tuple[Point, int]]) -> bool:
        """Add pads, each a net of its own with a terminal (centre and heading), all or none."""
        if self.nets[self.map(pads, self.rules.space)].any():
            return False
        for pad, (centre, heading) in zip(pads, ends, strict=True):
            net = self.new_net()
            self.nets[self.map([pad])] = net
            self.layout.copper.append(pad)
            self.layout.openings.append(Shape(pad.points, pad.width + 2.4, pad.filled))
            self.layout.terminals.append((centre, net, heading))
        return True

    def outline(self, centre: Point, width: float, height: float) -> None:
        if self.rng.random() < 0.6:
            box = rectangle(centre, width, height)
            self.layout.silk.append(Shape((*box.points, box.points[0]), 1.6))
            self.layout.silk.append(disc((box.points[0][0] + 4, box.points[0][1] + 4), 2.6))

    def trace_from(self, start: Point, net: int, heading: int) -> None:
        """Lead a trace from a pad out of the window, or to a via."""
        narrow = self.rules.trace * (0.8 if self.rng.random() < 0.3 else 1.0)
        for attempt in range(6):
            turns = int(self.rng.integers(1, 5))
            path = self.walk(start, heading + (4 if attempt > 3 else 0), float(self.rng.uniform(14, 50)), turns)
            ring = [] if self.outside(path[-1]) else [disc(path[-1], narrow * 2.1)]
            if self.place([Shape(tuple(path), narrow), *ring], net):
                self.layout.segments.extend((a, b, narrow) for a, b in pairwise(path))
                if ring:
                    self.drill(path[-1], narrow * 2.1)
                return

    def drill(self, centre: Point, diameter: float) -> None:
        """Make a via of a disc, sometimes tented (no hole to be seen)."""
        if self.rng.random() < 0.75:
            self.layout.holes.append(disc(centre, diameter * 0.42))
        if self.rng.random() < 0.5:
            self.layout.openings.append(disc(centre, diameter + 1.5))

    def test_point(self) -> None:
        """A lone round pad, the honest look-alike of spurious copper."""
        for _ in range(4):
            centre = (float(self.rng.uniform(0, EXTENT)), float(self.rng.uniform(0, EXTENT)))
            pad = disc(centre, float(self.rng.uniform(1.1, 1.9)) * self.rules.trace)
            if self.place([pad], self.new_net()):
                self.layout.openings.append(Shape(pad.points, pad.width + 2.0))
                return

    def pour(self) -> None:
        """A fill that takes one side or one corner of the window."""
        depth, extent = self.rng.uniform(30, 90), self.rng.uniform(60, 200)
        out, cut = _MARGIN + 20.0, self.rng.uniform(8, 25)
        corners = [(-out, -out), (extent, -out), (extent, depth - cut), (extent - cut, depth), (-out, depth)]
        c = EXTENT / 2
        for _ in range(int(self.rng.integers(4))):
            corners = [(c - (y - c), x) for x, y in corners]
        self.layout.pours.append(Shape(tuple(corners), 0.0, filled=True))
