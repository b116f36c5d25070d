"""Defects taken out of samples, and places as large taken out of clean ones, to see what a cue owes to the defect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.data.boxes import DEFECTIVE
from ssl_pcb.data.manifest import Sample
from ssl_pcb.imaging.orientation import Box, Image8
from ssl_pcb.imaging.tiling import clip_box

OUTSET = 2
"""Pixels blanked beyond a box: boxes are drawn tightly, and the optics carry a defect beyond its edge."""


def blanked_places(
    samples: Sequence[Sample], sizes: Sequence[tuple[int, int]], rng: np.random.Generator
) -> list[list[Box]]:
    """What to blank in each sample.

    Of a Defective sample its boxes, as far as it shows them. Of any other the boxes of a Defective one, drawn at random
    with replacement: as many, as large, and in the same places, for the place alone may tell the classes apart.

    Args:
        samples: N labelled samples.
        sizes: Width and height of each one's source image.
        rng: Draws.

    Returns:
        N lists of boxes in shares of the sample's width and height. Empty for a Defective sample that shows no box,
        and for all where none does.
    """
    shown = [
        _shown(sample, size) if sample.label == DEFECTIVE else [] for sample, size in zip(samples, sizes, strict=True)
    ]
    boxed = [boxes for boxes in shown if boxes]
    if not boxed:
        return shown
    donors = rng.integers(len(boxed), size=len(samples))
    return [
        boxes if sample.label == DEFECTIVE else boxed[donor]
        for sample, boxes, donor in zip(samples, shown, donors, strict=True)
    ]


def blank(pixels: Image8, places: Sequence[Box]) -> Image8:
    """``pixels`` with its median colour in ``places``.

    Args:
        pixels: uint8 (H, W, C).
        places: Boxes in shares of width and height.
    """
    height, width = pixels.shape[:2]
    blanked, colour = pixels.copy(), _median(pixels)
    for x1, y1, x2, y2 in places:
        left, top = (max(0, int(np.floor(low)) - OUTSET) for low in (x1 * width, y1 * height))
        right, bottom = (int(np.ceil(high)) + OUTSET for high in (x2 * width, y2 * height))
        blanked[top:bottom, left:right] = colour
    return blanked


def _median(pixels: Image8) -> NDArray[np.uint8]:
    colour: NDArray[np.uint8] = np.median(pixels.reshape(-1, pixels.shape[2]), axis=0).astype(np.uint8)
    return colour


def _shown(sample: Sample, size: tuple[int, int]) -> list[Box]:
    left, top, right, bottom = sample.crop or (0, 0, *size)
    width, height = right - left, bottom - top
    parts = (clip_box(box, (left, top, right, bottom)) for box in sample.boxes)
    return [
        ((x1 - left) / width, (y1 - top) / height, (x2 - left) / width, (y2 - top) / height)
        for x1, y1, x2, y2 in filter(None, parts)
    ]
