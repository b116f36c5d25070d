"""A board that lies elsewhere or askew, seen with what really surrounds it.

Pixels are (B, C, H, H) uint8 samples with their ring of surroundings, which only crops have; beyond ring or picture
lies the mirror image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_pcb.augment.draws import signs
from ssl_pcb.augment.geometric import warp
from ssl_pcb.augment.operations.moves import ANGLE, MOVES

DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""Steps in x and y."""


def askew(pixels: Tensor, size: int, degrees: float, generator: torch.Generator) -> Tensor:
    """Turned about its middle by ``degrees``, either way; (B, C, size, size) in [0, 1]."""
    maps = MOVES["rotate"](signs(len(pixels), generator) * degrees / ANGLE)
    return warp(pixels.float(), maps, size) / 255


def shifted(pixels: Tensor, size: int, right: int, down: int) -> Tensor:
    """The (B, C, size, size) uint8 that lie ``right`` and ``down`` whole pixels beside the samples."""
    maps = torch.eye(2, 3, device=pixels.device).repeat(len(pixels), 1, 1)
    maps[:, 0, 2], maps[:, 1, 2] = 2 * right / size, 2 * down / size
    return warp(pixels.float(), maps, size, exact=True).byte()
