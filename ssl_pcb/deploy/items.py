"""One image to judge: from wherever it comes to the pixels of its samples, as training cut them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl_pcb.deploy.facts import ModelFacts
from ssl_pcb.errors import BitDepthError, UserError
from ssl_pcb.imaging.decode import decode_for_cut, with_channels
from ssl_pcb.imaging.depth import to_eight_bits
from ssl_pcb.imaging.encoded import REENCODED, Encoded, ImageFile
from ssl_pcb.imaging.orientation import Box, Image8
from ssl_pcb.imaging.resize import size_of
from ssl_pcb.imaging.sample import cut_sample, outside, without_ring
from ssl_pcb.imaging.template import template_difference
from ssl_pcb.imaging.tiling import windows

Source = ImageFile | NDArray[Any]
"""A file, a file's bytes, or decoded pixels (H, W), (H, W, 1) or (H, W, 3) of type uint8 or uint16."""


Picture = Image8 | Image.Image
"""A decoded image."""


@dataclass(frozen=True)
class Item:
    """An image to judge.

    Attributes:
        name: What rows and messages call it.
        source: Where its pixels are.
        crop: The part to judge, as one sample; ``None`` = all of it.
        golden: Its golden image, or ``None``.
    """

    name: str
    source: Source
    crop: Box | None = None
    golden: Source | None = None


@dataclass(frozen=True)
class Cut:
    """A sample of an image.

    Attributes:
        box: Its place in the upright image.
        pixels: (S, S, C) uint8, as the network sees it; with golden images of twice the channels.
        difference: From its golden image, in [0, 1]; ``None`` without one.
    """

    box: Box
    pixels: Image8
    difference: float | None


def as_items(images: Iterable[Item | Source | str | bytes]) -> Iterator[Item]:
    """Each image with a name: paths are theirs, others are numbered from 1."""
    for number, image in enumerate(images, 1):
        match image:
            case Item():
                yield image
            case str() | Path():
                yield Item(str(image), Path(image))
            case bytes():
                yield Item(f"image {number}", Encoded(f"image {number}", image))
            case Encoded():
                yield Item(image.name, image)
            case _:
                yield Item(f"image {number}", np.asarray(image))


class Reader:
    """Reads images one after another, in one thread.

    It keeps the last one decoded: the tiles of one image follow each other in a manifest.

    Attributes:
        facts: How the network was trained.
        max_pixels: Larger images are refused.
    """

    def __init__(self, facts: ModelFacts, max_pixels: int) -> None:
        self.facts, self.max_pixels = facts, max_pixels
        self._kept: dict[bool, tuple[Source, Picture]] = {}

    def samples(self, item: Item) -> Iterator[Cut]:
        """The samples of an image: its crop, the windows of a panel, or all of it, one after another.

        Raises:
            UserError: If image or golden image cannot be read, do not fit each other, or one is missing; if it is far
                smaller than what the network has learned from.
        """
        facts = self.facts
        if facts.references and item.golden is None:
            fault = f"{item.name}: this model compares with golden images"
            raise UserError(f"{fault}; name one with --reference", fault=fault)
        image = self.picture(item)
        width, height = size_of(image)
        golden = None
        if item.golden is not None:
            golden = self._decoded(item.golden, f"golden image of {item.name}", golden=True)
            if size_of(golden) != (width, height):
                across, down = size_of(golden)
                fault = (
                    f"{item.name}: an image of {width}x{height} px and a golden image of {across}x{down} px cannot be "
                    "aligned pixel by pixel"
                )
                raise UserError(f"{fault}; name another with --reference", fault=fault)
        _refuse_far(item, facts, width, height)
        for box in _places(item, facts, width, height):
            crop = None if facts.tile is None and item.crop is None else box
            yield _cut(image, golden, crop, box, facts)

    def picture(self, item: Item) -> Picture:
        """The whole image, decoded.

        Raises:
            UserError: If it cannot be read.
        """
        return self._decoded(item.source, item.name)

    def _decoded(self, source: Source, name: str, *, golden: bool = False) -> Picture:
        kept, image = self._kept.get(golden, (None, None))
        # An array would compare itself with a path pixel by pixel.
        same = kept is source or (isinstance(kept, Path) and isinstance(source, Path) and kept == source)
        if image is None or not same:
            self._kept.pop(golden, None)  # two large panels need not fit into memory
            image = _decoded(source, name, self.facts, self.max_pixels)
            self._kept[golden] = source, image
        return image


def _places(item: Item, facts: ModelFacts, width: int, height: int) -> list[Box]:
    if item.crop is not None:
        if fault := outside(item.crop, width, height):
            raise UserError(f"{item.name}: {fault}")
        return [item.crop]
    whole = (0.0, 0.0, float(width), float(height))
    return [whole] if facts.tile is None else [*windows(width, height, facts.tile)]


def _refuse_far(item: Item, facts: ModelFacts, width: float, height: float) -> None:
    """Refuse what is far smaller or larger than all training samples: brought to their size, it would look good."""
    if item.crop is not None:
        width, height = item.crop[2] - item.crop[0], item.crop[3] - item.crop[1]
    if min(width, height) < facts.least:
        known = f", whose training {facts.unit}s have {facts.least_side} px and more" if facts.least_side else ""
        raise UserError(
            f"{item.name}: {width:g}x{height:g} px is too small for this model{known}; send one of at least "
            f"{math.ceil(facts.least)} px on each side"
        )
    if max(width, height) > facts.most and (facts.tile is None or item.crop is not None):
        raise UserError(
            f"{item.name}: {width:g}x{height:g} px is too large for this model, whose training {facts.unit}s have "
            f"{facts.most_side} px at most; send parts of at most {math.floor(facts.most)} px on each side"
        )


def _cut(image: Picture, golden: Picture | None, crop: Box | None, box: Box, facts: ModelFacts) -> Cut:
    def sample(source: Picture, jpeg: int) -> Image8:
        return without_ring(cut_sample(source, crop, facts.own, facts.context + facts.margin, jpeg), facts.margin)

    if golden is None:
        return Cut(box, sample(image, 0), None)
    alike = [sample(source, REENCODED) for source in (image, golden)]
    pixels = np.concatenate(alike, -1) if facts.references else sample(image, 0)
    own = [without_ring(each, facts.context) for each in alike]
    return Cut(box, pixels, template_difference(own[0], own[1]))


def _decoded(source: Source, name: str, facts: ModelFacts, max_pixels: int) -> Picture:
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source, name, facts, max_pixels)
        return decode_for_cut(source, channels=facts.channels, bit_depth=facts.bit_depth, max_pixels=max_pixels)
    except BitDepthError:
        fault = (
            f"{name}: holds values of more than the {facts.bit_depth} bits that training images had; save it with "
            f"{facts.bit_depth} bits"
        )
        raise UserError(f"{fault}, or train with data.bit_depth as your camera has it", fault=fault) from None
    except MemoryError:
        fault = f"{name}: is too large for this machine's memory"
        raise UserError(f"{fault}; lower --max-pixels", fault=fault) from None


def _from_array(array: NDArray[Any], name: str, facts: ModelFacts, max_pixels: int) -> Picture:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3) or channels not in (1, 3) or not array.size:
        raise UserError(
            f"{name}: an array of shape {array.shape} and type {array.dtype} is no image; give uint8 or uint16 of "
            "(H, W), (H, W, 1) or (H, W, 3)"
        )
    if array.shape[0] * array.shape[1] > max_pixels:
        raise UserError(f"{name}: {array.shape[1]} x {array.shape[0]} pixels are more than the {max_pixels:,} allowed")
    if array.dtype == np.uint16:
        array = to_eight_bits(array, facts.bit_depth, Encoded(name, b""))
    array = np.ascontiguousarray(array).reshape(*array.shape[:2], channels)
    return array if channels == facts.channels else with_channels(array, facts.channels)
