"""Exact areas of convex polygons cut by a view."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def area(polygon: Sequence[Point]) -> float:
    """Area of a simple polygon by the shoelace formula."""
    pairs = zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)) / 2


def area_in_square(polygon: Sequence[Point], size: float) -> float:
    """Area of a convex polygon's part in the square (0, 0) to (size, size) (Sutherland and Hodgman 1974)."""
    kept = list(polygon)
    for axis in (0, 1):
        kept = _clip(kept, axis, 0.0, -1.0)
        kept = _clip(kept, axis, size, 1.0)
    return area(kept)


def _clip(polygon: list[Point], axis: int, bound: float, outward: float) -> list[Point]:
    kept: list[Point] = []
    for start, end in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True):
        before, after = (outward * (point[axis] - bound) for point in (start, end))
        if before <= 0:
            kept.append(start)
        if before * after < 0:
            way = before / (before - after)
            kept.append((start[0] + way * (end[0] - start[0]), start[1] + way * (end[1] - start[1])))
    return kept
