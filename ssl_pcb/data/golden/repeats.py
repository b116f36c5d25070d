"""Where a pattern is repeated: on the same image, or on others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssl_pcb.imaging.decode import decode, probe
from ssl_pcb.imaging.orientation import Image8

CELLS = 16
"""Cells along a block's side in the first, coarse search."""

AROUND = 0.125
"""Margin around a block that must be alike too, as a share of its side: it says which of many lines a line is."""

REFINED = 12
"""Places of the coarse search, one an image, that are looked at pixel by pixel."""

DECODED_BYTES = 256 << 20
"""Decoded images that are kept."""

SHAPES = 16
"""Shapes of patterns whose energies are kept: an image's blocks have nine."""

LARGEST = 3
"""Blocks along an image's shorter side, at least: what is as large as the image lies in no other that is moved."""


@dataclass(frozen=True)
class Repeat:
    """A place that shows a block's pattern once more.

    Attributes:
        image: Number of the image.
        left: Where the block begins there, in pixels.
        top: Likewise.
        difference: Mean squared difference to the block and its margin, of greys in 0 to 1.
    """

    image: int
    left: int
    top: int
    difference: float


class Stack:
    """Images of one size, in each place of which a pattern is compared."""

    def __init__(self, images: Tensor) -> None:
        """Keep ``images`` (N, H, W) and what is the same for all patterns."""
        self.images = images
        self._spectrum = torch.fft.rfft2(images)
        self._sums = F.pad(images.double().square().cumsum(1).cumsum(2), (1, 0, 1, 0))
        self._energies: dict[tuple[int, ...], Tensor] = {}

    def squared_differences(self, pattern: Tensor) -> Tensor:
        """Sum of squared differences between ``pattern`` (h, w), no larger than the images, and each place.

        By the product of spectra, whose circular wrap reaches no place that lies wholly inside.

        Returns:
            (N, H - h + 1, W - w + 1).
        """
        (height, width), (h, w) = self.images.shape[1:], pattern.shape
        spectrum = torch.fft.rfft2(pattern, s=(height, width)).conj().mul(2)
        product = torch.fft.irfft2(self._spectrum * spectrum, s=(height, width))
        apart: Tensor = self._energy(h, w) - product[:, : height - h + 1, : width - w + 1]
        return apart.add_(pattern.square().sum()).clamp_(min=0)

    def _energy(self, h: int, w: int) -> Tensor:
        """Sum of squares in each place of h x w pixels."""
        if (h, w) not in self._energies:
            if len(self._energies) == SHAPES:
                self._energies.clear()
            sums = self._sums
            inside = sums[:, h:, w:] - sums[:, :-h, w:] - sums[:, h:, :-w] + sums[:, :-h, :-w]
            self._energies[h, w] = inside.float()
        return self._energies[h, w]


class Pool:
    """Images among which a pattern is searched; all are held at coarse resolution, few at their own.

    Attributes:
        files: Of the images.
        sizes: (N, 2) height and width.
        channels: (N,) of each file, 1 or 3.
        block: Side of a block, in pixels.
        variance: Of the greys of all images, each in 0 to 1.
    """

    def __init__(
        self, files: Sequence[Path], block: int, searched: Sequence[int], *, bit_depth: int, max_pixels: int
    ) -> None:
        """Read all ``files``.

        Args:
            files: Of the images.
            block: Side of a block, in pixels; less where images are small.
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
        self.block = max(CELLS, min(block, int(np.median(self.sizes.min(1))) // LARGEST))
        self.factor = self.block // CELLS

        def read(file: Path) -> Image8:
            return decode(file, channels=max(self.channels), bit_depth=bit_depth, max_pixels=max_pixels)

        coarse, moments, contents = [], [], []
        for file in self.files:
            picture = read(file)
            grey = _grey(picture)
            moments.append((float(grey.mean()), float(grey.square().mean())))
            contents.append(sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest())
            coarse.append(F.avg_pool2d(grey[None], self.factor, ceil_mode=True)[0])
        largest = int(self.sizes.prod(1).max()) * max(self.channels)
        self._read = lru_cache(maxsize=max(2, DECODED_BYTES // largest))(read)
        mean, square = np.mean(moments, 0)
        self.variance = float(square - mean**2)
        height, width = (max(each.shape[side] for each in coarse) for side in (0, 1))
        self._coarse = torch.stack(
            [F.pad(each, (0, width - each.shape[1], 0, height - each.shape[0])) for each in coarse]
        )
        self._contents = np.array(contents)
        _, first = np.unique(self._contents[list(searched)], return_index=True)
        self._searched: NDArray[np.int64] = np.array(searched, np.int64)[np.sort(first)]
        self._elsewhere = Stack(self._coarse[self._searched])

    def pixels(self, image: int) -> Image8:
        """(H, W, C) of one image, in colour if any of them is."""
        found: Image8 = self._read(self.files[image])
        return found

    def repeats(self, image: int, box: tuple[int, int, int, int]) -> list[Repeat]:
        """Places that show what ``image`` shows in ``box`` (x1, y1, x2, y2), the most alike first.

        One of each image at most. None overlaps the block, and none lies on a copy of the image: a defect must not
        vouch for itself.
        """
        height, width = self.sizes[image]
        margin = int(self.block * AROUND)
        x1, y1 = max(0, box[0] - margin), max(0, box[1] - margin)
        x2, y2 = min(width, box[2] + margin), min(height, box[3] + margin)
        pattern = _grey(self.pixels(image)[y1:y2, x1:x2])
        found = []
        for _, other, x, y in sorted(self._candidates(image, (x1, y1, x2, y2)))[:REFINED]:
            left, top, difference = self._refined(other, x, y, pattern)
            found.append(Repeat(other, left + box[0] - x1, top + box[1] - y1, difference))
        return sorted(found, key=lambda each: each.difference)

    def _candidates(self, image: int, box: tuple[int, int, int, int]) -> Iterator[tuple[float, int, int, int]]:
        """Difference, image, left and top, in pixels, of the most alike place of each image."""
        x1, y1, x2, y2 = (side // self.factor for side in box)
        over_x, over_y = box[0] % self.factor, box[1] % self.factor
        pattern = self._coarse[image, y1:y2, x1:x2]
        height, width = pattern.shape
        if not height or not width:
            return
        apart = self._elsewhere.squared_differences(pattern)
        apart[torch.from_numpy(self._contents[self._searched] == self._contents[image])] = torch.inf
        own = Stack(self._coarse[image : image + 1]).squared_differences(pattern)
        own[:, max(0, y1 - height + 1) : y1 + height, max(0, x1 - width + 1) : x1 + width] = torch.inf
        sides = (box[3] - box[1], box[2] - box[0])
        for numbers, each in ((self._searched, apart), (np.array([image]), own)):
            self._leave_out_beyond(each, numbers, sides)
            least, places = each.flatten(1).min(1)
            for number, difference, place in zip(numbers.tolist(), least.tolist(), places.tolist(), strict=True):
                if difference < torch.inf:
                    top, left = divmod(place, each.shape[2])
                    yield difference, number, left * self.factor + over_x, top * self.factor + over_y

    def _leave_out_beyond(self, apart: Tensor, images: NDArray[np.int64], sides: tuple[int, int]) -> None:
        """Places where a pattern of ``sides`` pixels would stick out: images may be smaller than the largest."""
        last = torch.from_numpy((self.sizes[images] - sides) // self.factor)
        for axis in (1, 2):
            if (last[:, axis - 1] < apart.shape[axis] - 1).any():
                beyond = torch.arange(apart.shape[axis]) > last[:, axis - 1, None]
                apart.masked_fill_(beyond.unsqueeze(3 - axis), torch.inf)

    def _refined(self, image: int, left: int, top: int, pattern: Tensor) -> tuple[int, int, float]:
        """The most alike place within a coarse cell of ``left`` and ``top``, and its mean squared difference."""
        (height, width), (rows, columns), slack = pattern.shape, self.sizes[image], self.factor
        y1, x1 = (
            max(0, min(at - slack, most - side)) for at, most, side in ((top, rows, height), (left, columns, width))
        )
        window = _grey(self.pixels(image)[y1 : top + slack + height, x1 : left + slack + width])[None]
        apart = Stack(window).squared_differences(pattern)[0]
        y, x = divmod(int(apart.argmin()), apart.shape[1])
        return int(x1 + x), int(y1 + y), float(apart.min()) / pattern.numel()


def _grey(picture: Image8) -> Tensor:
    """(H, W) in 0 to 1."""
    return torch.from_numpy(picture).float().mean(2) / 255
