"""Cutting images into square tiles."""

from __future__ import annotations

from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box

OVERLAP = 0.5
"""Share of a window's side that neighbours have in common: a defect cut by the edge of one lies whole in another."""

ENOUGH = 0.5
"""Share of a defect's box that makes a picture which shows it Defective; of tiles, and of whatever is made of them."""


def windows(width: int, height: int, side: int) -> list[tuple[int, int, int, int]]:
    """Overlapping windows that a whole image is judged by, row by row; as :func:`tile_grid`."""
    return tile_grid(width, height, side, round(OVERLAP * side))


def tile_grid(width: int, height: int, tile: int, overlap: int = 0) -> list[tuple[int, int, int, int]]:
    """Tiles that cover an image, row by row.

    A last tile that would stick out is moved back to end at the image's edge; an image smaller than a tile
    gives tiles as small as itself.

    Args:
        width: Image width in pixels.
        height: Image height in pixels.
        tile: Side of a tile in pixels.
        overlap: Pixels that neighbouring tiles share (at least).

    Returns:
        ``x1, y1, x2, y2`` of each tile.

    Raises:
        UserError: If ``tile`` is not positive or ``overlap`` is not in 0 to ``tile - 1``.
    """
    if tile < 1:
        raise UserError(f"tile size {tile} must be at least 1 pixel")
    if not 0 <= overlap < tile:
        raise UserError(f"tile overlap {overlap} must be at least 0 and less than the tile size {tile}")
    columns, rows = _spans(width, tile, tile - overlap), _spans(height, tile, tile - overlap)
    return [(x1, y1, x2, y2) for y1, y2 in rows for x1, x2 in columns]


def _spans(length: int, tile: int, stride: int) -> list[tuple[int, int]]:
    if length <= tile:
        return [(0, length)]
    starts = [*range(0, length - tile, stride), length - tile]
    return [(start, start + tile) for start in starts]


def clip_box(box: Box, frame: Box) -> Box | None:
    """The part of ``box`` inside ``frame``, or ``None`` if they share no area."""
    x1, y1 = max(box[0], frame[0]), max(box[1], frame[1])
    x2, y2 = min(box[2], frame[2]), min(box[3], frame[3])
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def box_share(box: Box, tile: Box) -> float:
    """Share (0 to 1) of the box's area that lies in the tile."""
    part = clip_box(box, tile)
    return 0.0 if part is None else area(part) / area(box)


def area(box: Box) -> float:
    """Area of a box in square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])
