"""An image's golden image: block by block what most repeats of its pattern show."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

import numpy as np

from ssl_pcb.data.golden.likeness import DIFFERENT, Repeat
from ssl_pcb.data.golden.pool import Pool
from ssl_pcb.data.golden.repeats import repeats
from ssl_pcb.imaging.orientation import Image8
from ssl_pcb.imaging.tiling import tile_grid

VOTES = 7
"""Repeats whose median is taken, at most."""

MAJORITY = 3
"""Repeats from which on a defect that one of them shows is outvoted."""

FEW = 0.06
"""Share of a place's surroundings that may differ where they show the same pattern: defects, of either."""

EXPLAINED = 0.125
"""Share of what surroundings do not tell of a block that a place may lack and still show the same."""

ALIKE = 0.2
"""Mean squared difference, as a share of the images' variance, up to which a place is alike."""


class Consensus(NamedTuple):
    """What the repeats say.

    Attributes:
        picture: (H, W, C) uint8, or ``None`` where there is no place at all that shows as much as a block.
        blocks: Blocks of the image.
        repeated: Those with as many repeats as make a majority; the others show the most alike places there are.
    """

    picture: Image8 | None
    blocks: int
    repeated: int


def consensus(pool: Pool, image: int) -> Consensus:
    """The golden image of one image of ``pool``.

    A defect that a repeat shows is outvoted by the others, where there are at least two: the median of an odd number of
    them is taken, pixel by pixel.
    """
    pixels = pool.pixels(image)
    made, repeated = np.empty_like(pixels), 0
    blocks = tile_grid(pixels.shape[1], pixels.shape[0], pool.block_of(image))
    for box in blocks:
        found, majority = voters(*repeats(pool, image, box), ALIKE * pool.variance)
        if not found:
            return Consensus(None, len(blocks), 0)
        repeated += majority
        x1, y1, x2, y2 = box
        shown = [
            pool.pixels(each.image)[y1 + each.down : y2 + each.down, x1 + each.across : x2 + each.across]
            for each in found
        ]
        made[y1:y2, x1:x2] = np.median(shown, axis=0)
    return Consensus(made, len(blocks), repeated)


def voters(surrounded: list[Repeat], alike: list[Repeat], limit: float) -> tuple[list[Repeat], bool]:
    """An odd number of places, and whether they are repeats that make a majority.

    Those with the same surroundings, which a defect in the block has no part in choosing. Where too few of these show
    what the block does, it may all the same be the pattern: if enough of the places that look like the block show the
    very same. A defect's like do not, which are drawn or grown each in its own shape. Else the most alike places there
    are.

    Args:
        surrounded: Places with surroundings like the block's.
        alike: Places like the block as a whole.
        limit: Difference up to which the most alike vote together; where the best has more, up to twice the best's.
    """
    surrounded = sorted(surrounded, key=lambda each: each.surroundings)
    told = [each for each in surrounded if each.elsewhere <= FEW]
    if len(told) >= MAJORITY:
        same = [each for each in told if each.worst <= DIFFERENT]
        lacking = EXPLAINED * median(each.inside for each in told)
        shown = [each for each in alike if each.elsewhere <= FEW and each.inside <= lacking]
        shown.sort(key=lambda each: each.inside)
        return _odd(next(each for each in (same, shown, told) if len(each) >= MAJORITY)), True
    best: dict[int, Repeat] = {}  # an image has one vote
    for each in sorted([*surrounded, *alike], key=lambda each: each.difference):
        best.setdefault(each.image, each)
    ranked = list(best.values())
    return _odd([each for each in ranked if each.difference <= max(limit, 2 * ranked[0].difference)]), False


def _odd(found: list[Repeat]) -> list[Repeat]:
    found = found[:VOTES]
    return found[: len(found) - 1 + len(found) % 2]
