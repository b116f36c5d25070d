"""How far places show what a block and its surroundings show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.data.golden.pool import Greys, PixelBox, Pool, as_tensor
from ssl_pcb.data.golden.stack import Stack

CLOSELY = 0.25
"""Side of the squares in which places are compared closely, as a share of a block's."""

DIFFERENT = 0.3
"""Mean difference of such a square, of the images' contrast, above which it shows another pattern."""

Place = tuple[int, int, int]
"""Image, left and top in pixels."""


@dataclass(frozen=True)
class Repeat:
    """A place that may show a block's pattern once more.

    Attributes:
        image: Number of the image.
        across: How many pixels further right it lies there.
        down: Further down.
        difference: Mean squared difference to the block and its surroundings, of greys in 0 to 1.
        surroundings: The same of the surroundings alone.
        elsewhere: Share of small squares of the surroundings that differ: few where a witness has a defect of its own,
            many where another pattern stands.
        worst: Largest mean difference in any small square of what is hidden (the block and a margin), as a share of the
            images' contrast, where edges a pixel off are none.
        inside: The same of all that is hidden.
    """

    image: int
    across: int
    down: int
    difference: float
    surroundings: float
    elsewhere: float
    worst: float
    inside: float


class Window(NamedTuple):
    """What lies within a coarse cell of a place, in which a pattern is looked for pixel by pixel."""

    image: int
    left: int
    top: int
    window: Greys


def compared(
    pool: Pool, image: int, outer: PixelBox, hidden: PixelBox, weight: Tensor, places: Iterable[Place]
) -> Iterator[Repeat]:
    """For each of ``places`` the one within a coarse cell that is most alike.

    Args:
        pool: Images.
        image: Number of that which is looked at.
        outer: The block with what is hidden beside it and its surroundings.
        hidden: The block with what is hidden beside it.
        weight: (h, w) of ``outer``: 1 where being alike counts, 0 elsewhere.
        places: Where patterns as large as ``outer`` begin, to a coarse cell.
    """
    surroundings = beside(hidden, outer)
    x1, y1, x2, y2 = outer
    one = pool.greys(image, outer)
    pattern, side = as_tensor(one.grey), max(2, int(pool.block_of(image) * CLOSELY))
    for group in _windows(pool, places, (y2 - y1, x2 - x1)):
        apart = Stack(as_tensor(np.stack([window.grey for *_, window in group])))
        least = apart.squared_differences(pattern, weight).flatten(1).argmin(1)
        shifts = [divmod(int(each), group[0].window.grey.shape[1] - (x2 - x1) + 1) for each in least]
        two = Greys(*(
            np.stack([each[y : y + y2 - y1, x : x + x2 - x1] for each, (y, x) in zip(greys, shifts, strict=True)])
            for greys in zip(*(window for *_, window in group), strict=True)
        ))  # fmt: skip
        square = (pattern - as_tensor(two.grey)).square()
        beyond = torch.maximum(_beyond(one, two), _beyond(two, one)) / pool.contrast
        inside = beyond[:, hidden[1] - y1 : hidden[3] - y1, hidden[0] - x1 : hidden[2] - x1]
        different = _squares(beyond, side) > DIFFERENT
        measures = (
            square.mean((1, 2)),
            (square * surroundings).sum((1, 2)) / surroundings.sum(),
            different[:, _squares(surroundings[None], side)[0] == 1].float().mean(1).nan_to_num(1),
            _squares(inside, side).amax((1, 2)),
            inside.mean((1, 2)),
        )
        for (other, left, top, _), (y, x), each in zip(group, shifts, torch.stack(measures, 1), strict=True):
            yield Repeat(other, left + x - x1, top + y - y1, *each.tolist())


def beside(hidden: PixelBox, outer: PixelBox, cell: int = 1) -> Tensor:
    """1 in those cells of ``outer`` that reach into no part of ``hidden``, 0 elsewhere; 1 if that leaves none."""
    x1, y1, x2, y2 = (side // cell for side in outer)
    weight = torch.ones(y2 - y1, x2 - x1)
    weight[hidden[1] // cell - y1 : -(-hidden[3] // cell) - y1, hidden[0] // cell - x1 : -(-hidden[2] // cell) - x1] = 0
    return weight if weight.any() else torch.ones_like(weight)


def _windows(pool: Pool, places: Iterable[Place], sides: tuple[int, int]) -> Iterator[list[Window]]:
    """What lies within a coarse cell of patterns of ``sides`` pixels at ``places``, those of one size together."""
    groups: dict[tuple[int, ...], list[Window]] = {}
    for other, *at in places:
        (top, bottom), (left, right) = (
            (max(0, min(begin - pool.factor, int(most) - side)), begin + pool.factor + side)
            for begin, most, side in zip(reversed(at), pool.sizes[other], sides, strict=True)
        )
        seen = pool.greys(other, (left, top, right, bottom))
        groups.setdefault(seen.grey.shape, []).append(Window(other, left, top, seen))
    yield from groups.values()


def _beyond(shown: Greys, other: Greys) -> Tensor:
    """How far what is shown lies outside the range of the greys around its place in the other, in 0 to 1."""
    above = np.maximum(shown.grey, other.highest) - other.highest
    return as_tensor(above + other.lowest - np.minimum(shown.grey, other.lowest))


def _squares(values: Tensor, side: int) -> Tensor:
    """Means of overlapping squares."""
    return F.avg_pool2d(values, [min(side, each) for each in values.shape[1:]], side // 2)
