"""The six defects of DeepPCB, each done to the copper of a place and checked against what its name says.

A painter proposes a change at a random place that suits it; the change is kept only if the copper's topology
answers as the name promises, if it can be seen, and if its size is that of a defect.

The types are those of Tang et al., "Online PCB Defect Detector On A New PCB Defect Dataset"
(https://arxiv.org/abs/1902.06197).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ssl_pcb.data.synthetic.layers import Layers
from ssl_pcb.data.synthetic.shapes import BoolArray
from ssl_pcb.data.synthetic.site import Site, placed

_TRIES = 14


def paint_defect(
    name: str, copper: BoolArray, layers: Layers, forbidden: BoolArray, rng: np.random.Generator
) -> BoolArray | None:
    """Do one defect to ``copper``.

    Args:
        name: One of :data:`DEFECT_TYPES`.
        copper: (S, S) boolean copper, left as it is.
        layers: The place's layers; no defect is put in a hole.
        forbidden: (S, S) boolean: where no defect may be (print that would hide it, another defect).
        rng: Random generator.

    Returns:
        The copper with the defect, or ``None`` where this place has no room for one.
    """
    painter, more, regions = _DEFECTS[name]
    site = Site(copper, layers, forbidden, rng)
    for _ in range(_TRIES):
        change = painter(site)
        if change is not None and site.acceptable(change, more, regions):
            return copper ^ change
    return None


def _open(site: Site) -> BoolArray | None:
    """Cut a trace across with a ragged, sometimes slanted gap."""
    rng, unit = site.rng, site.unit
    if not site.layers.segments:
        return None
    first, second, width = site.layers.segments[int(rng.integers(len(site.layers.segments)))]
    share = rng.uniform(0.05, 0.95)
    at = tuple(unit * (a + share * (b - a)) for a, b in zip(first, second, strict=True))
    centre = (at[0], at[1])
    if not site.inside(centre) or not site.net_at(centre) or site.at_pad(centre):
        return None
    length = float(np.hypot(second[0] - first[0], second[1] - first[1]))
    along = ((second[0] - first[0]) / length, (second[1] - first[1]) / length)
    gap = rng.uniform(2.5, max(3.5, min(site.size / unit, 1.6 * width))) * unit
    across = np.linspace(-1, 1, 7) * (width / 2 + 2.0) * unit
    slant = rng.uniform(-0.8, 0.8) * across
    low = slant - gap / 2 + rng.uniform(-0.5, 0.5, 7) * min(gap, 3 * unit) * 0.5
    high = slant + gap / 2 + rng.uniform(-0.5, 0.5, 7) * min(gap, 3 * unit) * 0.5
    outline = placed(centre, along, np.concatenate([low, high[::-1]]), np.concatenate([across, across[::-1]]))
    cut: BoolArray = site.polygon(outline) & (site.nets == site.net_at(centre))
    return cut


def _short(site: Site) -> BoolArray | None:
    """Bridge the gap between two nets with a ragged strip."""
    rng, unit = site.rng, site.unit
    found = site.edge_point()
    if found is None:
        return None
    start, normal = found
    gap = site.run(start, normal, copper=False, limit=34 * unit)
    if gap >= 34 * unit:
        return None
    far = (start[0] + normal[0] * gap, start[1] + normal[1] * gap)
    pair = {site.net_at(start), site.net_at(far)} - {0}
    if len(pair) != 2:
        return None
    forward = np.linspace(-2 * unit, gap + 2 * unit, 6)
    bend = rng.uniform(-0.15, 0.15) * gap * np.sin(np.linspace(0, np.pi, 6))
    half = rng.uniform(2.0, max(3.0, min(6.0, site.size / unit / 2))) * unit / 2 * rng.uniform(0.7, 1.3, (2, 6))
    sideways = np.concatenate([bend - half[0], (bend + half[1])[::-1]])
    strip = site.polygon(placed(start, normal, np.concatenate([forward, forward[::-1]]), sideways))
    added = strip & ~site.copper
    return added if site.alone(added, pair, 1.0) else None


def _mousebite(site: Site) -> BoolArray | None:
    """Nick an edge, never right through."""
    found = site.edge_point()
    if found is None:
        return None
    at, normal = found
    thickness = site.run(at, (-normal[0], -normal[1]), copper=True, limit=40 * site.unit)
    depth = min(site.rng.uniform(0.3, 0.7) * thickness, site.rng.uniform(0.3, 0.8) * site.size)
    half = min(site.size / 2, 2.5 * depth)
    if depth < 1.5 * site.unit:
        return None
    tangent = (-normal[1], normal[0])
    return site.blob(at, tangent, max(half, 3.5 * site.unit), depth) & site.copper


def _spur(site: Site) -> BoolArray | None:
    """Let copper stick out of an edge, short of the next net."""
    found = site.edge_point()
    if found is None:
        return None
    at, normal = found
    room = site.run(at, normal, copper=False, limit=40 * site.unit)
    length = min(site.size, room - 2.0 * site.unit)
    if length < 3 * site.unit:
        return None
    half = max(site.rng.uniform(0.2, 0.45) * length, 1.6 * site.unit)
    lean = site.rng.uniform(-0.4, 0.4)
    along = (normal[0] - lean * normal[1], normal[1] + lean * normal[0])
    norm = float(np.hypot(*along))
    added = site.blob(at, (along[0] / norm, along[1] / norm), length, half) & ~site.copper
    return added if site.alone(added, {site.net_at(at)}, 1.5 * site.unit) else None


def _copper(site: Site) -> BoolArray | None:
    """Leave an island of copper in free space."""
    at = site.pick(~site.copper & ~site.closed)
    if at is None:
        return None
    turn, half = site.rng.uniform(0, np.pi), site.size / 2
    blob = site.blob(at, (float(np.cos(turn)), float(np.sin(turn))), half, half * site.rng.uniform(0.4, 1.0))
    return blob if site.alone(blob, set(), 1.5 * site.unit) else None


def _pin_hole(site: Site) -> BoolArray | None:
    """Open a hole inside copper."""
    rng, unit = site.rng, site.unit
    at = site.pick(site.deep)
    if at is None:
        return None
    turn, half = rng.uniform(0, np.pi), min(site.size / 2, 10 * unit)
    blob = site.blob(at, (float(np.cos(turn)), float(np.sin(turn))), half, half * rng.uniform(0.35, 0.9))
    if not blob.any():
        return None
    window, grown = site.near(blob, 1.2 * unit)
    return blob if site.copper[window][grown].all() else None


# Painter, change in the number of copper pieces, and in the number of copper-free regions (None = any).
_DEFECTS: dict[str, tuple[Callable[[Site], BoolArray | None], int, int | None]] = {
    "open": (_open, 1, None),
    "short": (_short, -1, None),
    "mousebite": (_mousebite, 0, 0),
    "spur": (_spur, 0, 0),
    "copper": (_copper, 1, 0),
    "pin-hole": (_pin_hole, 0, 1),
}

DEFECT_TYPES = tuple(_DEFECTS)
"""Names of the six defects."""
