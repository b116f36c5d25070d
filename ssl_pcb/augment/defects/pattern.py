"""The board's own pattern as painting sees it: two tones, where each lies, how wide it is, where it ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.augment.defects.shapes import CELL, Shapes

BINS = 64
"""Grey levels among which the tones' threshold is sought."""

ONE_TONE = 0.04
"""Difference of two tones, of full scale, below which they are one and its noise."""

OTHER_TONE = 0.5
"""How far from a picture's only tone that lies of which a defect is painted on it."""


@dataclass(frozen=True)
class Pattern:
    """What is bright in B pictures, and what is dark. Which of them is copper does not matter.

    Attributes:
        is_bright: (B, 1, S, S) bool.
        dark: (B, C, 1, 1) median colour of what is dark: a mean has something of the borders, where tones mix.
        bright: (B, C, 1, 1) the same of what is bright.
        within: (B, 1, S, S) bool, where the tones were taken, and where places are drawn.
    """

    is_bright: Tensor
    dark: Tensor
    bright: Tensor
    within: Tensor

    @classmethod
    def of(cls, images: Tensor, within: Tensor | None = None) -> Pattern:
        """The pattern of (B, C, S, S) images in [0, 1], parted by Otsu's threshold of their grey.

        Where there is one tone alone, all is dark, and bright is what would stand out there: the other tone of the
        whole picture, or if that has none either a colour far from its own.

        Args:
            images: Pictures.
            within: (B, 1, S, S) bool, of what part of each; ``None`` = of all of it.
        """
        grey = images.mean(1, keepdim=True)
        inside = torch.ones_like(grey, dtype=torch.bool) if within is None else within
        is_bright = grey > _otsu(grey, inside)

        def median(of: Tensor) -> Tensor:
            found = images.masked_fill(~of, torch.nan).flatten(2).nanmedian(2).values
            return found.nan_to_num(0)[..., None, None]  # of no pixels there is none

        dark, bright = median(~is_bright & inside), median(is_bright & inside)
        alone = ~(is_bright & inside).flatten(1).any(1)[:, None, None, None] | (_apart(dark, bright) < ONE_TONE)
        if not alone.any():
            return cls(is_bright, dark, bright, inside)
        own = median(inside)
        other = own + torch.where(own.mean(1, keepdim=True) < 0.5, OTHER_TONE, -OTHER_TONE)
        if within is not None:
            whole = cls.of(images)
            other = torch.where(_apart(own, whole.dark) > _apart(own, whole.bright), whole.dark, whole.bright)
        return cls(
            is_bright & ~alone, torch.where(alone, own, dark), torch.where(alone, other.clamp(0, 1), bright), inside
        )

    @property
    def contrast(self) -> Tensor:
        """(B, 1, 1, 1) how far apart the two tones are, in [0, 1]."""
        return _apart(self.dark, self.bright)

    def of_samples(self, chosen: Tensor) -> Pattern:
        """The pattern of the ``chosen`` pictures."""
        return Pattern(self.is_bright[chosen], self.dark[chosen], self.bright[chosen], self.within[chosen])

    def swapped(self) -> Pattern:
        """The same with the two tones' roles exchanged."""
        return Pattern(~self.is_bright, self.bright, self.dark, self.within)

    def own_tone(self) -> Tensor:
        """(B, C, S, S): each pixel in the median colour of its tone."""
        return torch.where(self.is_bright, self.bright, self.dark)


def on_an_edge(pattern: Pattern, shapes: Shapes) -> Tensor:
    """(B, 2) places x, y on borders between the tones, drawn evenly along them; where there are none, anywhere."""
    border = _or_all(_border(pattern.is_bright), pattern)
    cell = _drawn_cell(F.max_pool2d(border, CELL, ceil_mode=True), shapes)
    line = torch.arange(border.shape[-1], device=border.device)
    columns = (line[None, None, :] // CELL == cell[:, :1, None]) & (line[None, :, None] // CELL == cell[:, 1:, None])
    # One border pixel of the cell, by the drawn place.
    tickets = torch.where(columns & (border[:, 0] > 0), _phases(shapes, border.shape[-1]), -1)
    best = tickets.flatten(1).argmax(1)
    side = border.shape[-1]
    return torch.stack([best % side, torch.div(best, side, rounding_mode="floor")], 1) + 0.5


def in_the_open(pattern: Pattern, shapes: Shapes) -> tuple[Tensor, Tensor]:
    """(B, 2) places inside what is bright, and (B,) pixels from there to its border, counted to a quarter of the side.

    Wide areas are drawn more often than narrow ones. Where nothing is bright the place is anywhere.
    """
    depth = _or_all(_depth(pattern.is_bright, pattern.is_bright.shape[-1] // 4), pattern)
    side = depth.shape[-1]
    pooled, where = F.max_pool2d(depth, CELL, ceil_mode=True, return_indices=True)
    cell = _drawn_cell(pooled**2, shapes)
    number = cell[:, 1] * pooled.shape[-1] + cell[:, 0]
    best = where.flatten(1).gather(1, number[:, None])[:, 0]
    at = torch.stack([best % side, torch.div(best, side, rounding_mode="floor")], 1) + 0.5
    return at, depth.flatten(1).gather(1, best[:, None])[:, 0]


def across(pattern: Pattern, at: Tensor, farthest: float) -> tuple[Tensor, Tensor]:
    """From a place on the border of what is bright: (B, 2) the direction into it, and (B,) how far it reaches there.

    The distance is infinite where no other border comes within ``farthest`` pixels.
    """
    bright = pattern.is_bright.to(at)
    smooth = F.avg_pool2d(F.pad(bright, [3] * 4, mode="replicate"), 7, 1)
    inward = torch.stack([_read(smooth, at, (1.5, 0)) - _read(smooth, at, (-1.5, 0)),
                          _read(smooth, at, (0, 1.5)) - _read(smooth, at, (0, -1.5))], 1)  # fmt: skip
    inward = inward / inward.norm(dim=1, keepdim=True).clamp(min=1e-6)
    steps = torch.arange(1.5, max(2.0, farthest) + 0.5, 0.5, device=at.device)
    points = at[:, None] + inward[:, None] * steps[:, None]
    left = ~_lookup(pattern.is_bright, points)
    distance = torch.where(left.any(1), steps[left.int().argmax(1)], torch.inf)
    return inward, distance


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """(B, 1, 1, 1) largest difference of two colours (B, C, 1, 1)."""
    return (one - other).abs().amax(1, keepdim=True)


def _or_all(weights: Tensor, pattern: Pattern) -> Tensor:
    """The (B, 1, S, S) ``weights`` within; 1 everywhere within for a picture that has none there."""
    found = weights * pattern.within
    return torch.where(found.flatten(1).any(1)[:, None, None, None], found, pattern.within.to(weights))


def _otsu(grey: Tensor, within: Tensor) -> Tensor:
    """(B, 1, 1, 1) thresholds between the two tones (Otsu 1979) ``within`` (B, 1, S, S), of greys in [0, 1]."""
    low = grey.masked_fill(~within, torch.inf).amin((2, 3), keepdim=True)
    high = grey.masked_fill(~within, -torch.inf).amax((2, 3), keepdim=True)
    bins = ((grey - low) / (high - low).clamp(min=1e-6) * BINS).long().clamp(0, BINS - 1).flatten(1)
    counts = torch.zeros(len(grey), BINS, device=grey.device).scatter_add_(1, bins, within.flatten(1).float())
    share = counts / counts.sum(1, keepdim=True)
    below = share.cumsum(1)
    levels = torch.arange(BINS, device=grey.device)
    mean = (share * levels).cumsum(1)
    between = (mean[:, -1:] * below - mean) ** 2 / (below * (1 - below)).clamp(min=1e-6)
    # Between two tones that are far apart any threshold will do: the middle of the best ones.
    best = between >= between.amax(1, keepdim=True) * (1 - 1e-4)
    middle = (best * levels).sum(1) / best.sum(1)
    return low + (high - low) * ((middle + 1) / BINS)[:, None, None, None]


def _border(mask: Tensor) -> Tensor:
    """(B, 1, S, S) 1.0 where a pixel of the mask has a neighbour outside of it, above, below or beside."""
    outside = (~mask).float()
    near = torch.maximum(F.max_pool2d(outside, (3, 1), 1, (1, 0)), F.max_pool2d(outside, (1, 3), 1, (0, 1)))
    return near * mask


def _depth(mask: Tensor, most: int) -> Tensor:
    """(B, 1, S, S) chessboard distance of the mask's pixels to the next one outside, counted up to ``most``.

    The picture's rim counts as outside: what lies near it cannot be seen to end.
    """
    outside = (~mask).float()
    depth = mask.float()
    for _ in range(most - 1):
        outside = F.max_pool2d(F.pad(outside, [1] * 4, value=1.0), 3, 1)
        depth += 1 - outside
    return depth


def _drawn_cell(weights: Tensor, shapes: Shapes) -> Tensor:
    """(B, 2) column and row of a cell, drawn by its weight (B, 1, K, K)."""
    tickets = torch.log(weights + 1e-9) + shapes.lottery
    cell, cells = tickets.flatten(1).argmax(1), weights.shape[-1]
    return torch.stack([cell % cells, torch.div(cell, cells, rounding_mode="floor")], 1)


def _phases(shapes: Shapes, side: int) -> Tensor:
    """(B, S, S) numbers in [0, 1) that differ from pixel to pixel and from draw to draw."""
    line = torch.arange(side, device=shapes.place.device)
    column, row = line[None, None, :] * 0.618034, line[None, :, None] * 0.754878
    return (column + row + shapes.place[:, :1, None] + shapes.place[:, 1:, None]) % 1


def _read(values: Tensor, at: Tensor, offset: tuple[float, float]) -> Tensor:
    return _lookup(values, (at + torch.tensor(offset, device=at.device))[:, None])[:, 0]


def _lookup(values: Tensor, points: Tensor) -> Tensor:
    """(B, N) values of (B, 1, S, S) at the pixels that hold the points (B, N, 2) x, y; ends repeat."""
    side = values.shape[-1]
    cell = points.floor().long().clamp(0, side - 1)
    return values.flatten(1).gather(1, cell[..., 1] * side + cell[..., 0])
