"""A judged image as a picture: where the network sees defects, and what is not OK, outlined."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ssl_pcb.deploy.items import Cut, Item, Picture, Reader
from ssl_pcb.deploy.merging import Prediction
from ssl_pcb.deploy.predictor import PIXELS_AT_ONCE, Heats, Predictor
from ssl_pcb.imaging.heat import heat_colours
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.resize import place, size_of

MOST, LEAST = 1600, 480
"""Pixels of a picture's longer side: larger images are shrunk, smaller ones enlarged by whole numbers."""
COLOURS = {"NG": (255, 74, 28), "REVIEW": (255, 190, 11)}
LINE, HALO = 3, 5
"""Widths in pixels of an outline and of the dark line behind it."""


def overlay(predictor: Predictor, item: Item, found: Prediction, max_pixels: int | None = None) -> Image.Image:
    """The image, or the part of it that was judged, with its suspects outlined; in grey under its heat map if the model
    can make one.

    Where windows overlap the highest of their maps is shown, as the panel's verdict is its worst window's.

    Args:
        predictor: That has judged the image.
        item: The image; it is read once more.
        found: What it said.
        max_pixels: Larger images are refused; ``None`` = as in training.

    Raises:
        UserError: If the image cannot be read.
    """
    reader = Reader(predictor.facts, max_pixels or predictor.facts.max_pixels)
    picture = reader.picture(item)
    view = _View(picture, item.crop)
    shown = view.shown(picture).convert("RGBA")
    if predictor.heats is not None:
        shown = shown.convert("L").convert("RGBA")  # boards have the colours of heat
        heat = _merged(reader.samples(item), predictor.heats, view, predictor.facts.image_size)
        shown.alpha_composite(Image.fromarray(heat_colours(heat)))
    drawn = ImageDraw.Draw(shown)
    for suspect in reversed(found.suspects):  # the worst above the others
        for colour, width in (((0, 0, 0), HALO), (COLOURS[suspect.verdict], LINE)):
            drawn.rectangle(_inside(view.place(suspect.box), shown.size, width), outline=colour, width=width)
    return shown.convert("RGB")


class _View:
    """From pixels of the upright image to pixels of the picture of a part of it."""

    def __init__(self, picture: Picture, crop: Box | None) -> None:
        x1, y1, x2, y2 = (0, 0, *size_of(picture)) if crop is None else tuple(map(round, crop))
        self.box = x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)
        width, height = self.box[2] - x1, self.box[3] - y1
        longest = max(width, height)
        self.scale = MOST / longest if longest > MOST else float(math.ceil(LEAST / longest))
        self.size = max(1, round(width * self.scale)), max(1, round(height * self.scale))

    def shown(self, picture: Picture) -> Image.Image:
        if not isinstance(picture, Image.Image):
            picture = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
        how = Image.Resampling.BILINEAR if self.scale < 1 else Image.Resampling.NEAREST
        return picture.resize(self.size, how, self.box).convert("RGB")

    def place(self, box: Box) -> tuple[int, int, int, int]:
        across, down = self.size[0] / (self.box[2] - self.box[0]), self.size[1] / (self.box[3] - self.box[1])
        x1, y1, x2, y2 = (
            round((value - self.box[axis % 2]) * (down if axis % 2 else across)) for axis, value in enumerate(box)
        )
        return x1, y1, x2, y2


def _merged(samples: Iterator[Cut], heats: Heats, view: _View, size: int) -> NDArray[np.float32]:
    """The heat maps of all samples, each in its place, (H, W) of the view."""
    found = np.zeros(view.size[::-1], np.float32)
    at_once = max(1, PIXELS_AT_ONCE // size**2)
    while some := list(islice(samples, at_once)):
        stacked = np.stack([cut.pixels for cut in some]).transpose(0, 3, 1, 2)
        for cut, heat in zip(some, heats(np.ascontiguousarray(stacked)), strict=True):
            _lay(found, heat, cut.box, view)
    return found


def _lay(found: NDArray[np.float32], heat: NDArray[np.float32], box: Box, view: _View) -> None:
    x1, y1, x2, y2 = view.place(box)
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    placed = place(max(1, round(box[3] - box[1])), max(1, round(box[2] - box[0])), len(heat))
    # What lies beside an image that is not square is its own mirror image.
    inner = (placed.left, placed.top, placed.left + placed.width, placed.top + placed.height)
    part = Image.fromarray(heat).resize((x2 - x1, y2 - y1), Image.Resampling.BILINEAR, inner)
    there = found[y1:y2, x1:x2]
    np.maximum(there, np.asarray(part)[: there.shape[0], : there.shape[1]], out=there)


def _inside(box: tuple[int, int, int, int], size: tuple[int, int], width: int) -> tuple[int, int, int, int]:
    """An outline of a box that stays in the picture, so that the halo of one at its edge is seen."""
    more = (width - LINE) // 2
    x1, y1, x2, y2 = box[0] - more, box[1] - more, box[2] + more - 1, box[3] + more - 1
    x1, y1 = max(x1, 0), max(y1, 0)
    return x1, y1, max(x1, min(x2, size[0] - 1)), max(y1, min(y2, size[1] - 1))
