"""Where a pattern is repeated: on the same image, or on others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_pcb.data.golden.likeness import Place, Repeat, beside, compared
from ssl_pcb.data.golden.pool import PixelBox, Pool
from ssl_pcb.data.golden.stack import Stack

HIDDEN = 0.375
"""Margin of a block that is hidden with it, as a share of its side: of a defect across its edge nothing is compared."""

AROUND = 0.625
"""Margin around that, likewise: the surroundings by which a block is known again."""

REFINED = 12
"""Places of a coarse search, one an image, that are looked at pixel by pixel."""


def repeats(pool: Pool, image: int, block: PixelBox) -> tuple[list[Repeat], list[Repeat]]:
    """Places that are surrounded like a block of ``image`` (x1, y1, x2, y2), and places that look like all of it.

    One of each image at most, in no order; a place may be among both. None overlaps the block, and none lies on a
    copy of the image: a defect must not vouch for itself.
    """
    hidden, outer = (_widened(pool, image, block, share) for share in (HIDDEN, HIDDEN + AROUND))
    surroundings = beside(hidden, outer)
    cells = beside(hidden, outer, pool.factor)
    if not cells.numel():
        return [], []
    surrounded, alike = (
        list(compared(pool, image, outer, hidden, weight, _candidates(pool, image, outer, counted)))
        for weight, counted in ((surroundings, cells), (torch.ones_like(surroundings), torch.ones_like(cells)))
    )
    return surrounded, alike


def _widened(pool: Pool, image: int, box: PixelBox, share: float) -> PixelBox:
    """``box`` with a margin, as far as the image goes."""
    (height, width), margin = pool.sizes[image].tolist(), int(pool.block_of(image) * share)
    x1, y1, x2, y2 = box
    return max(0, x1 - margin), max(0, y1 - margin), min(width, x2 + margin), min(height, y2 + margin)


def _candidates(pool: Pool, image: int, outer: PixelBox, counted: Tensor) -> Iterator[Place]:
    """The places whose ``counted`` cells are most alike, one an image."""
    x1, y1 = outer[0] // pool.factor, outer[1] // pool.factor
    height, width = counted.shape
    pattern = pool.coarse[image, y1 : y1 + height, x1 : x1 + width]
    apart = pool.elsewhere.squared_differences(pattern, counted)
    apart[torch.from_numpy(pool.contents[pool.searched] == pool.contents[image])] = torch.inf
    own = Stack(pool.coarse[image : image + 1]).squared_differences(pattern, counted)
    own[:, max(0, y1 - height + 1) : y1 + height, max(0, x1 - width + 1) : x1 + width] = torch.inf
    sides, found = (outer[3] - outer[1], outer[2] - outer[0]), []
    for numbers, each in ((pool.searched, apart), (np.array([image]), own)):
        _leave_out_beyond(pool, each, numbers, sides)
        least, places = each.flatten(1).min(1)
        for number, difference, place in zip(numbers.tolist(), least.tolist(), places.tolist(), strict=True):
            if difference < torch.inf:
                found.append((difference, number, *divmod(place, each.shape[2])))
    for _, number, top, left in sorted(found)[:REFINED]:
        yield number, left * pool.factor + outer[0] % pool.factor, top * pool.factor + outer[1] % pool.factor


def _leave_out_beyond(pool: Pool, apart: Tensor, images: NDArray[np.int64], sides: tuple[int, int]) -> None:
    """Places where a pattern of ``sides`` pixels would stick out: images may be smaller than the largest."""
    last = torch.from_numpy((pool.sizes[images] - sides) // pool.factor)
    for axis in (1, 2):
        if (last[:, axis - 1] < apart.shape[axis] - 1).any():
            beyond = torch.arange(apart.shape[axis]) > last[:, axis - 1, None]
            apart.masked_fill_(beyond.unsqueeze(3 - axis), torch.inf)
