"""Where an image differs from its golden image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.augment.defects.pattern import Pattern

SLACK = 1
"""Pixels by which an edge may lie elsewhere without counting as a difference."""

SAME, DIFFERENT = 0.1, 0.3
"""Largest difference in a place that counts as none, and the least that counts as one, as :func:`contrasted` has it."""

FULL, FAINTEST = 0.4, 0.2
"""Contrast of a board's tones up to which differences count in proportion, and the least share of it: less is noise."""

ELSEWHERE = 0.15
"""Share of a place's surroundings that differ from which on the golden image shows another pattern there."""

SMOOTHED = 3
"""Side of the square over which differences are averaged: single pixels are noise."""


def difference(images: Tensor, references: Tensor) -> Tensor:
    """How far each pixel is from what its golden image shows there or a pixel beside.

    Both ways: what only the image shows and what only the golden image shows. Each pixel's grey is compared with the
    range of greys around its place in the other picture, so that an edge which lies a pixel off costs nothing.

    Args:
        images: (B, C, S, S) in [0, 1].
        references: (B, C, S, S) in [0, 1], aligned with them.

    Returns:
        (B, 1, S, S) in [0, 1].
    """
    beyond = torch.maximum(_beyond(images, references), _beyond(references, images)).amax(1, keepdim=True)
    padded = F.pad(beyond, [SMOOTHED // 2] * 4, mode="replicate")
    return F.avg_pool2d(padded, SMOOTHED, 1)


def contrasted(images: Tensor, references: Tensor) -> Tensor:
    """As :func:`difference`, but larger where the golden image's tones are close, as those of traces under a dark mask.

    Args:
        images: As of :func:`difference`.
        references: Likewise.

    Returns:
        (B, 1, S, S), of full scale where tones are further apart than :data:`FULL`.
    """
    return difference(images, references) / (Pattern.of(references).contrast / FULL).clamp(FAINTEST, 1)


def different(images: Tensor, references: Tensor) -> Tensor:
    """Where an image differs from its golden image although that shows the same pattern.

    Golden images that were put together from repeats of a pattern are wrong where it has none: there almost everything
    differs. What surrounds a place is a square of half the images' side.

    Args:
        images: As of :func:`difference`.
        references: Likewise.

    Returns:
        (B, 1, S, S) bool.
    """
    apart = contrasted(images, references) >= DIFFERENT
    reach = images.shape[-1] // 4
    rows = F.avg_pool2d(apart.float(), (2 * reach + 1, 1), 1, (reach, 0), count_include_pad=False)
    share = F.avg_pool2d(rows, (1, 2 * reach + 1), 1, (0, reach), count_include_pad=False)
    return apart & (share < ELSEWHERE)


def _beyond(images: Tensor, others: Tensor) -> Tensor:
    """How far pixels of ``images`` lie outside the range of their surroundings in ``others``."""
    side = 2 * SLACK + 1
    highest = F.max_pool2d(others, side, 1, SLACK)
    lowest = -F.max_pool2d(-others, side, 1, SLACK)
    return torch.relu(images - highest) + torch.relu(lowest - images)
