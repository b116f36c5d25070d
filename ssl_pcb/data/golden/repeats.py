"""Where a pattern is repeated: on the same image, or on others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from torch import Tensor

from ssl_pcb.imaging.decode import decode, probe
from ssl_pcb.imaging.orientation import Image8

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, the last two outside."""

Place = tuple[int, int, int]
"""Image, left and top in pixels."""

CELLS = 8
"""Cells along a block's side in the first, coarse search."""

HIDDEN = 0.375
"""Margin of a block that is hidden with it, as a share of its side: of a defect across its edge nothing is compared."""

AROUND = 0.625
"""Margin around that, likewise: the surroundings by which a block is known again."""

CLOSELY = 0.25
"""Side of the squares in which places are compared closely, likewise."""

DIFFERENT = 0.3
"""Mean difference of such a square, of the images' contrast, above which it shows another pattern."""

SLACK = 1
"""Pixels by which an edge may lie elsewhere without counting as a difference."""

REFINED = 12
"""Places of a coarse search, one an image, that are looked at pixel by pixel."""

DECODED_BYTES = 1 << 30
"""Decoded images that are kept."""

BLOCKS = 10
"""Blocks along an image's shorter side unless their side is given: large images do not get more of them."""

LARGEST = 6
"""Blocks along an image's shorter side, at least: what is as large as the image lies in no other that is moved."""


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


class Stack:
    """Images of one size, in each place of which a pattern is compared."""

    def __init__(self, images: Tensor) -> None:
        """Keep what is the same for all patterns of ``images`` (N, H, W)."""
        self._sides: tuple[int, int] = (images.shape[1], images.shape[2])
        self._spectrum = torch.fft.rfft2(images)
        self._squares = torch.fft.rfft2(images.square())

    def squared_differences(self, pattern: Tensor, weight: Tensor) -> Tensor:
        """Weighted sum of squared differences between ``pattern`` (h, w), no larger than the images, and each place.

        By products of spectra, whose circular wrap reaches no place that lies wholly inside.

        Returns:
            (N, H - h + 1, W - w + 1).
        """
        (height, width), (h, w) = self._sides, pattern.shape
        counted = torch.fft.rfft2(weight, s=self._sides).conj()
        shown = torch.fft.rfft2(2 * weight * pattern, s=self._sides).conj()
        product = torch.fft.irfft2(self._squares * counted - self._spectrum * shown, s=self._sides)
        apart: Tensor = product[:, : height - h + 1, : width - w + 1]
        return apart.add((weight * pattern.square()).sum()).clamp_(min=0)


class Greys(NamedTuple):
    """What a part of an image shows, without its colours.

    Attributes:
        grey: (..., H, W) uint8, as the two below.
        lowest: Least grey within ``SLACK`` pixels of each place.
        highest: Largest grey there.
    """

    grey: NDArray[np.uint8]
    lowest: NDArray[np.uint8]
    highest: NDArray[np.uint8]


class Window(NamedTuple):
    """What lies within a coarse cell of a place, in which a pattern is looked for pixel by pixel."""

    image: int
    left: int
    top: int
    window: Greys


class Pool:
    """Images among which a pattern is searched; all are held at coarse resolution, few at their own.

    Attributes:
        files: Of the images.
        sizes: (N, 2) height and width.
        channels: (N,) of each file, 1 or 3.
        block: Side of a block, in pixels, but of images that are too small for it (:meth:`block_of`).
        variance: Of the greys of all images, each in 0 to 1.
        contrast: Between their darkest and brightest hundredth.
    """

    def __init__(
        self, files: Sequence[Path], block: int | None, searched: Sequence[int], *, bit_depth: int, max_pixels: int
    ) -> None:
        """Read all ``files``.

        Args:
            files: Of the images.
            block: Side of a block, in pixels; at most a sixth of the images' shorter side, a tenth unless given.
            searched: Numbers of the images in which patterns of the others are searched too; of copies one is.
            bit_depth: Of files with more than 8 bits.
            max_pixels: Refuse larger images.

        Raises:
            UserError: On an image that cannot be read.
        """
        self.files = list(files)
        infos = [probe(file, max_pixels) for file in self.files]
        self.sizes: NDArray[np.int64] = np.array([(info.height, info.width) for info in infos], np.int64)
        self.channels = [info.channels for info in infos]
        side = int(np.median(self.sizes.min(1)))
        self.block = max(CELLS, min(side // BLOCKS if block is None else block, side // LARGEST))
        self.factor = self.block // CELLS

        def read(file: Path) -> Image8:
            return decode(file, channels=max(self.channels), bit_depth=bit_depth, max_pixels=max_pixels)

        coarse, moments, contents, greys = [], [], [], np.zeros(256, np.int64)
        for file in self.files:
            pixels = read(file)
            greys += np.bincount(_grey(pixels).ravel(), minlength=256)
            grey = _tensor(_grey(pixels))
            moments.append((float(grey.mean()), float(grey.square().mean())))
            contents.append(sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest())
            coarse.append(F.avg_pool2d(grey[None], self.factor, ceil_mode=True)[0])
        largest = int(self.sizes.prod(1).max()) * max(self.channels)
        self._read = lru_cache(maxsize=max(2, DECODED_BYTES // largest))(read)
        mean, square = np.mean(moments, 0)
        self.variance = float(square - mean**2)
        darkest, brightest = np.searchsorted(greys.cumsum() / greys.sum(), (0.01, 0.99))
        self.contrast = max(1, int(brightest - darkest)) / 255
        height, width = (max(each.shape[side] for each in coarse) for side in (0, 1))
        self._coarse = torch.stack(
            [F.pad(each, (0, width - each.shape[1], 0, height - each.shape[0])) for each in coarse]
        )
        self._contents = np.array(contents)
        _, first = np.unique(self._contents[list(searched)], return_index=True)
        self._searched: NDArray[np.int64] = np.array(searched, np.int64)[np.sort(first)]
        self._elsewhere = Stack(self._coarse[self._searched])
        self._alone = lru_cache(maxsize=1)(lambda image: Stack(self._coarse[image : image + 1]))

    def pixels(self, image: int) -> Image8:
        """(H, W, C) of one image, in colour if any of them is."""
        found: Image8 = self._read(self.files[image])
        return found

    def block_of(self, image: int) -> int:
        """Side of the blocks of one image: as of all, but at most a sixth of its own shorter side."""
        return max(CELLS, min(self.block, int(self.sizes[image].min()) // LARGEST))

    def repeats(self, image: int, block: Box) -> tuple[list[Repeat], list[Repeat]]:
        """Places that are surrounded like a block of ``image`` (x1, y1, x2, y2), and places that look like all of it.

        One of each image at most, in no order; a place may be among both. None overlaps the block, and none lies on a
        copy of the image: a defect must not vouch for itself.
        """
        hidden, outer = (self._widened(image, block, share) for share in (HIDDEN, HIDDEN + AROUND))
        surroundings = _beside(hidden, outer)
        cells = _beside(hidden, outer, self.factor)
        if not cells.numel():
            return [], []
        surrounded, alike = (
            list(self._compared(image, outer, hidden, weight, self._candidates(image, outer, counted)))
            for weight, counted in ((surroundings, cells), (torch.ones_like(surroundings), torch.ones_like(cells)))
        )
        return surrounded, alike

    def _widened(self, image: int, box: Box, share: float) -> Box:
        """``box`` with a margin, as far as the image goes."""
        (height, width), margin = self.sizes[image].tolist(), int(self.block_of(image) * share)
        x1, y1, x2, y2 = box
        return max(0, x1 - margin), max(0, y1 - margin), min(width, x2 + margin), min(height, y2 + margin)

    def _candidates(self, image: int, outer: Box, counted: Tensor) -> Iterator[Place]:
        """The places whose ``counted`` cells are most alike, one an image."""
        x1, y1 = outer[0] // self.factor, outer[1] // self.factor
        height, width = counted.shape
        pattern = self._coarse[image, y1 : y1 + height, x1 : x1 + width]
        apart = self._elsewhere.squared_differences(pattern, counted)
        apart[torch.from_numpy(self._contents[self._searched] == self._contents[image])] = torch.inf
        own = self._alone(image).squared_differences(pattern, counted)
        own[:, max(0, y1 - height + 1) : y1 + height, max(0, x1 - width + 1) : x1 + width] = torch.inf
        sides, found = (outer[3] - outer[1], outer[2] - outer[0]), []
        for numbers, each in ((self._searched, apart), (np.array([image]), own)):
            self._leave_out_beyond(each, numbers, sides)
            least, places = each.flatten(1).min(1)
            for number, difference, place in zip(numbers.tolist(), least.tolist(), places.tolist(), strict=True):
                if difference < torch.inf:
                    found.append((difference, number, *divmod(place, each.shape[2])))
        for _, number, top, left in sorted(found)[:REFINED]:
            yield number, left * self.factor + outer[0] % self.factor, top * self.factor + outer[1] % self.factor

    def _leave_out_beyond(self, apart: Tensor, images: NDArray[np.int64], sides: tuple[int, int]) -> None:
        """Places where a pattern of ``sides`` pixels would stick out: images may be smaller than the largest."""
        last = torch.from_numpy((self.sizes[images] - sides) // self.factor)
        for axis in (1, 2):
            if (last[:, axis - 1] < apart.shape[axis] - 1).any():
                beyond = torch.arange(apart.shape[axis]) > last[:, axis - 1, None]
                apart.masked_fill_(beyond.unsqueeze(3 - axis), torch.inf)

    def _compared(
        self, image: int, outer: Box, hidden: Box, weight: Tensor, places: Iterable[Place]
    ) -> Iterator[Repeat]:
        """For each of ``places`` the one within a coarse cell that is most alike by ``weight``."""
        surroundings = _beside(hidden, outer)
        x1, y1, x2, y2 = outer
        one = self._greys(image, outer)
        pattern, side = _tensor(one.grey), max(2, int(self.block_of(image) * CLOSELY))
        for group in self._windows(places, (y2 - y1, x2 - x1)):
            apart = Stack(_tensor(np.stack([window.grey for *_, window in group])))
            least = apart.squared_differences(pattern, weight).flatten(1).argmin(1)
            shifts = [divmod(int(each), group[0].window.grey.shape[1] - (x2 - x1) + 1) for each in least]
            two = Greys(*(
                np.stack([each[y : y + y2 - y1, x : x + x2 - x1] for each, (y, x) in zip(greys, shifts, strict=True)])
                for greys in zip(*(window for *_, window in group), strict=True)
            ))  # fmt: skip
            square = (pattern - _tensor(two.grey)).square()
            beyond = torch.maximum(_beyond(one, two), _beyond(two, one)) / self.contrast
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

    def _greys(self, image: int, box: Box) -> Greys:
        """Of a part of an image; at its rim as if nothing lay beyond."""
        x1, y1, x2, y2 = box
        grey, side = _grey(self.pixels(image)[y1:y2, x1:x2]), 2 * SLACK + 1
        return Greys(grey, minimum_filter(grey, side), maximum_filter(grey, side))

    def _windows(self, places: Iterable[Place], sides: tuple[int, int]) -> Iterator[list[Window]]:
        """What lies within a coarse cell of patterns of ``sides`` pixels at ``places``, those of one size together."""
        groups: dict[tuple[int, ...], list[Window]] = {}
        for other, *at in places:
            (top, bottom), (left, right) = (
                (max(0, min(begin - self.factor, int(most) - side)), begin + self.factor + side)
                for begin, most, side in zip(reversed(at), self.sizes[other], sides, strict=True)
            )
            seen = self._greys(other, (left, top, right, bottom))
            groups.setdefault(seen.grey.shape, []).append(Window(other, left, top, seen))
        yield from groups.values()


def _beyond(shown: Greys, other: Greys) -> Tensor:
    """How far what is shown lies outside the range of the greys around its place in the other, in 0 to 1."""
    above = np.maximum(shown.grey, other.highest) - other.highest
    return _tensor(above + other.lowest - np.minimum(shown.grey, other.lowest))


def _beside(hidden: Box, outer: Box, cell: int = 1) -> Tensor:
    """1 in those cells of ``outer`` that reach into no part of ``hidden``, 0 elsewhere; 1 if that leaves none."""
    x1, y1, x2, y2 = (side // cell for side in outer)
    weight = torch.ones(y2 - y1, x2 - x1)
    weight[hidden[1] // cell - y1 : -(-hidden[3] // cell) - y1, hidden[0] // cell - x1 : -(-hidden[2] // cell) - x1] = 0
    return weight if weight.any() else torch.ones_like(weight)


def _squares(values: Tensor, side: int) -> Tensor:
    """Means of overlapping squares."""
    return F.avg_pool2d(values, [min(side, each) for each in values.shape[1:]], side // 2)


def _grey(pixels: Image8) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = pixels.mean(2).round().astype(np.uint8)
    return grey


def _tensor(grey: NDArray[np.uint8]) -> Tensor:
    """In 0 to 1."""
    return torch.from_numpy(grey.astype(np.float32)).div_(255)
