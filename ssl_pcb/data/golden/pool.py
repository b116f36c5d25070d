"""The images among which a pattern is searched."""

from __future__ import annotations

from collections.abc import Sequence
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

from ssl_pcb.data.golden.stack import Stack
from ssl_pcb.imaging.decode import decode, probe
from ssl_pcb.imaging.orientation import Image8

PixelBox = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, the last two outside."""

CELLS = 8
"""Coarse cells along a block's side."""

SLACK = 1
"""Pixels by which an edge may lie elsewhere without counting as a difference."""

DECODED_BYTES = 1 << 30
"""Decoded images that are kept, with the greys around each of their places."""

BLOCKS = 10
"""Blocks along an image's shorter side unless their side is given: large images do not get more of them."""

LARGEST = 6
"""Blocks along an image's shorter side, at least: what is as large as the image lies in no other that is moved."""


class Greys(NamedTuple):
    """What an image or a part of it shows, without its colours.

    Attributes:
        grey: (..., H, W) uint8, as the two below.
        lowest: Least grey within ``SLACK`` pixels of each place.
        highest: Largest grey there.
    """

    grey: NDArray[np.uint8]
    lowest: NDArray[np.uint8]
    highest: NDArray[np.uint8]


class Picture(NamedTuple):
    """An image as it is kept, (H, W, C) uint8."""

    pixels: Image8
    greys: Greys


class Pool:
    """Images among which a pattern is searched; all are held at coarse resolution, few at their own.

    Attributes:
        sizes: (N, 2) height and width.
        channels: (N,) of each file, 1 or 3.
        contents: (N,) of copies the same.
        searched: Numbers of the images in which patterns of the others are searched; of copies one is.
        factor: Pixels along the side of a coarse cell.
        coarse: (N, H, W) means of cells, in 0 to 1; smaller images are padded.
        elsewhere: Those of them that are searched.
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
            searched: Numbers of the images in which patterns of the others are searched too.
            bit_depth: Of files with more than 8 bits.
            max_pixels: Refuse larger images.

        Raises:
            UserError: On an image that cannot be read.
        """
        infos = [probe(file, max_pixels) for file in files]
        self.sizes: NDArray[np.int64] = np.array([(info.height, info.width) for info in infos], np.int64)
        self.channels = [info.channels for info in infos]
        side = int(np.median(self.sizes.min(1)))
        self._block = max(CELLS, min(side // BLOCKS if block is None else block, side // LARGEST))
        self.factor = self._block // CELLS

        def read(image: int) -> Image8:
            return decode(files[image], channels=max(self.channels), bit_depth=bit_depth, max_pixels=max_pixels)

        def examined(image: int) -> Picture:
            pixels = read(image)
            grey, square = _grey(pixels), 2 * SLACK + 1
            return Picture(pixels, Greys(grey, minimum_filter(grey, square), maximum_filter(grey, square)))

        coarse, contents, counts = [], [], np.zeros(256, np.int64)
        for image in range(len(files)):
            pixels = read(image)
            grey = _grey(pixels)
            counts += np.bincount(grey.ravel(), minlength=256)
            contents.append(sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest())
            coarse.append(F.avg_pool2d(as_tensor(grey)[None], self.factor, ceil_mode=True)[0])
        largest = int(self.sizes.prod(1).max()) * (max(self.channels) + len(Greys._fields))
        self._picture = lru_cache(maxsize=max(2, DECODED_BYTES // largest))(examined)
        values, shares = np.arange(256) / 255, counts / counts.sum()
        self.variance = float(shares @ values**2 - (shares @ values) ** 2)
        darkest, brightest = np.searchsorted(shares.cumsum(), (0.01, 0.99))
        self.contrast = max(1, int(brightest - darkest)) / 255
        self.coarse = _padded(coarse)
        self.contents = np.array(contents)
        _, first = np.unique(self.contents[list(searched)], return_index=True)
        self.searched: NDArray[np.int64] = np.array(searched, np.int64)[np.sort(first)]
        self.elsewhere = Stack(self.coarse[self.searched])

    def pixels(self, image: int) -> Image8:
        """(H, W, C) of one image, in colour if any of them is."""
        found: Image8 = self._picture(image).pixels
        return found

    def greys(self, image: int, box: PixelBox) -> Greys:
        """Of a part of an image."""
        x1, y1, x2, y2 = box
        return Greys(*(each[y1:y2, x1:x2] for each in self._picture(image).greys))

    def block_of(self, image: int) -> int:
        """Side of the blocks of one image, in pixels: as of all, but at most a sixth of its own shorter side."""
        return max(CELLS, min(self._block, int(self.sizes[image].min()) // LARGEST))


def _padded(pictures: list[Tensor]) -> Tensor:
    """(N, H, W) as large as the largest."""
    height, width = (max(each.shape[side] for each in pictures) for side in (0, 1))
    return torch.stack([F.pad(each, (0, width - each.shape[1], 0, height - each.shape[0])) for each in pictures])


def as_tensor(grey: NDArray[np.uint8]) -> Tensor:
    """In 0 to 1."""
    return torch.from_numpy(grey.astype(np.float32)).div_(255)


def _grey(pixels: Image8) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = pixels.mean(2).round().astype(np.uint8)
    return grey
