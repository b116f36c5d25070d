"""An image's golden image: block by block what most repeats of its pattern show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ssl_pcb.data.golden.repeats import Pool, Repeat
from ssl_pcb.imaging.orientation import Image8
from ssl_pcb.imaging.tiling import tile_grid

VOTES = 7
"""Repeats whose median is taken, at most."""

MAJORITY = 3
"""Repeats from which on a defect that one of them shows is outvoted."""

ALIKE = 0.2
"""Mean squared difference, as a share of the images' variance, up to which a place counts as a repeat."""


class Consensus(NamedTuple):
    """What the repeats say.

    Attributes:
        picture: (H, W, C) uint8, or ``None`` where a block is repeated nowhere at all.
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
    blocks = tile_grid(pixels.shape[1], pixels.shape[0], pool.block)
    for box in blocks:
        found = pool.repeats(image, box)
        if not found:
            return Consensus(None, len(blocks), 0)
        repeated += sum(each.difference <= ALIKE * pool.variance for each in found) >= MAJORITY
        width, height = box[2] - box[0], box[3] - box[1]
        shown = [
            pool.pixels(each.image)[each.top : each.top + height, each.left : each.left + width]
            for each in voters(found, ALIKE * pool.variance)
        ]
        made[box[1] : box[3], box[0] : box[2]] = np.median(shown, axis=0)
    return Consensus(made, len(blocks), repeated)


def voters(found: list[Repeat], alike: float) -> list[Repeat]:
    """An odd number of repeats: the good ones, and others no worse than twice the best."""
    good = [each for each in found if each.difference <= max(alike, 2 * found[0].difference)][:VOTES]
    return good[: len(good) - 1 + len(good) % 2]
