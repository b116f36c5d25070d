"""Labelled tiles of images whose defects are given as boxes.

A tile is Defective when it holds at least ``min_box_share`` of some box. A tile that holds only less than
that of some box is neither class and is dropped as ``partial``; of the others, tiles with hardly any contrast
are dropped as ``blank``, Defective or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box, Image8
from ssl_pcb.imaging.tiling import ENOUGH, box_share, tile_grid

WHOLE_SHARE = 0.95
"""A box with a smaller share of its area in a tile is cut by the tile's edge (drawn boxes have some slack)."""


@dataclass(frozen=True)
class TileRules:
    """How images are cut and which tiles are kept.

    Attributes:
        tile: Side of a tile in pixels.
        overlap: Pixels that neighbouring tiles share.
        min_box_share: Share of a box (over 0, up to 1) that makes a tile Defective.
        blank_std: Tiles whose grey standard deviation (0 to 127.5) is below this are blank; of a camera's noise alone.
    """

    tile: int = 128
    overlap: int = 0
    min_box_share: float = ENOUGH
    blank_std: float = 4.0

    def __post_init__(self) -> None:
        tile_grid(1, 1, self.tile, self.overlap)  # raises on an impossible grid
        if not 0 < self.min_box_share <= 1:
            raise UserError(f"minimum box share {self.min_box_share} must be over 0 and at most 1")
        if not 0 <= self.blank_std < 128:
            raise UserError(f"blank standard deviation {self.blank_std} must be in 0 to 127.5")


@dataclass(frozen=True)
class Tile:
    """A kept tile: its place in the upright image, its class, and which boxes touch it."""

    crop: tuple[int, int, int, int]
    defective: bool
    touching: list[int]


@dataclass(frozen=True)
class ImageTiles:
    """What came of one image.

    Attributes:
        kept: The kept tiles.
        dropped: Number of tiles dropped, by reason (``partial``, ``blank``).
        unreached: Indices of the boxes that make no kept tile Defective.
    """

    kept: list[Tile] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    unreached: list[int] = field(default_factory=list)


def cut_tiles(grey: Image8, boxes: Sequence[Box], rules: TileRules) -> ImageTiles:
    """Cut one image into labelled tiles.

    Args:
        grey: The upright image, uint8 (H, W, 1).
        boxes: Defect boxes in its pixels.
        rules: What to keep.

    Returns:
        Kept tiles in reading order, and what was dropped and why.
    """
    result = ImageTiles()
    reached: set[int] = set()
    for crop in tile_grid(grey.shape[1], grey.shape[0], rules.tile, rules.overlap):
        shares = [box_share(box, crop) for box in boxes]
        enough = {index for index, share in enumerate(shares) if share >= rules.min_box_share}
        touching = [index for index, share in enumerate(shares) if share > 0]
        if touching and not enough:
            result.dropped["partial"] += 1
        elif grey[crop[1] : crop[3], crop[0] : crop[2]].std() < rules.blank_std:
            result.dropped["blank"] += 1
        else:
            result.kept.append(Tile(crop, bool(enough), touching))
            reached |= enough
    result.unreached.extend(index for index in range(len(boxes)) if index not in reached)
    return result


def only_cut_boxes(crop: Box, boxes: Iterable[Box]) -> bool:
    """Whether each of the boxes is cut by the crop's edge (see :data:`WHOLE_SHARE`)."""
    return all(box_share(box, crop) < WHOLE_SHARE for box in boxes)


def count_only_cut(manifest: Manifest) -> tuple[int, int]:
    """Defective crops with boxes that hold only cut ones, and all Defective crops with boxes."""
    positive = [sample for sample in manifest if sample.label == 1 and sample.crop and sample.boxes]
    return sum(only_cut_boxes(s.crop, s.boxes) for s in positive if s.crop), len(positive)
