"""A cell of a sheet of small multiples: a plot, and a strip of pictures below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]

FINE = 2
"""Drawn so many times as large and reduced by whoever saves it, for smooth lines; lengths here are of the result."""
WIDTH, TITLE, PLOT, TICKS, THUMB, LABEL = 246, 26, 110, 22, 78, 17
HEIGHT = TITLE + PLOT + TICKS + THUMB + 2 * LABEL
INK, GREY, FAINT, PAPER = (25, 25, 25), (130, 130, 130), (228, 228, 228), (255, 255, 255)


@dataclass(frozen=True)
class Curve:
    """Values at equally spaced places, and the ends of their intervals or NaN."""

    colour: Colour
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Cell:
    """A part of ``sheet`` whose upper left corner is at ``x``, ``y`` of the finished picture."""

    sheet: Image.Image
    x: int
    y: int

    def title(self, text: str, aside: str = "") -> None:
        """The heading, and a remark to its right."""
        self._write(0, TITLE / 2, text, 15, INK, "lm")
        self._write(WIDTH, TITLE / 2, aside, 12, GREY, "rm")

    def plot(self, curves: Sequence[Curve], top: float, places: Sequence[str]) -> None:
        """Curves from 0 to ``top``, one point at each of the named places."""
        for share in (0, 0.5, 1):
            height = TITLE + PLOT * (1 - share)
            self._pen.line(self._at((0, height), (WIDTH, height)), FAINT, FINE)
            self._write(-6, height, f"{share * top:.0%}", 11, GREY, "rm")
        steps = [WIDTH * (number + 0.5) / len(places) for number in range(len(places))]
        for step, name in zip(steps, places, strict=True):
            self._write(step, TITLE + PLOT + TICKS / 2, name, 11, GREY, "mm")
        for curve in curves:
            self._band(curve, top, steps)
        for curve in curves:
            points = self._points(curve.values, top, steps)
            self._pen.line(points, curve.colour, 2 * FINE, joint="curve")
            for px, py in points:
                self._pen.ellipse((px - 3 * FINE, py - 3 * FINE, px + 3 * FINE, py + 3 * FINE), curve.colour)

    def thumbs(self, pictures: Sequence[Tensor], labels: Sequence[str]) -> None:
        """Pictures (C, S, S) uint8 in a row, each with a label below it."""
        step = (WIDTH - THUMB) / max(len(pictures) - 1, 1)
        top = TITLE + PLOT + TICKS
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            left = round(number * step)
            self.sheet.paste(as_image(picture, THUMB * FINE), ((self.x + left) * FINE, (self.y + top) * FINE))
            self._pen.rectangle(self._at((left, top), (left + THUMB, top + THUMB)), outline=FAINT, width=FINE)
            self._write(left + THUMB / 2, top + THUMB + LABEL / 2, label, 11, GREY, "mm")

    def note(self, text: str) -> None:
        """A line below the labels of the pictures."""
        self._write(WIDTH / 2, HEIGHT - LABEL / 2, text, 11, GREY, "mm")

    def key(self, row: int, colour: Colour, text: str) -> None:
        """What a colour stands for, below the title."""
        height = TITLE + 10 + row * 18
        self._pen.line(self._at((0, height), (22, height)), colour, 3 * FINE)
        self._write(30, height, text, 12, INK, "lm")

    def line(self, row: int, text: str) -> None:
        """A line of text below the title."""
        self._write(0, TITLE + 10 + row * 18, text, 12, INK, "lm")

    @property
    def _pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.sheet, "RGBA")

    def _at(self, *points: tuple[float, float]) -> list[tuple[float, float]]:
        return [((self.x + x) * FINE, (self.y + y) * FINE) for x, y in points]

    def _points(self, values: Sequence[float], top: float, steps: Sequence[float]) -> list[tuple[float, float]]:
        heights = [TITLE + PLOT * (1 - min(max(value / top, 0), 1)) for value in values]
        return self._at(*zip(steps, heights, strict=True))

    def _band(self, curve: Curve, top: float, steps: Sequence[float]) -> None:
        if np.isfinite([curve.low, curve.high]).all():
            ends = self._points(curve.high, top, steps) + self._points(curve.low, top, steps)[::-1]
            self._pen.polygon(ends, (*curve.colour, 50))

    def _write(self, x: float, y: float, text: str, size: int, colour: Colour, anchor: str) -> None:
        self._pen.text(self._at((x, y))[0], text, colour, ImageFont.load_default(size * FINE), anchor)


def as_image(picture: Tensor, side: int) -> Image.Image:
    """A (C, S, S) uint8 picture, C = 1 or 3, ``side`` pixels wide."""
    values = picture.permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).convert("RGB")
    return image.resize((side, side), Image.Resampling.BICUBIC)
