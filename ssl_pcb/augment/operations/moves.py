"""Operations on places: strengths (N,) to maps (N, 2, 3) from changed to given pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

ANGLE, SHEAR, SHIFT = 30.0, 0.3, 2 / 3
"""Strongest rotation in degrees, shear, and shift: a third of the picture, whose side is 2 in the maps."""


def _turn(strengths: Tensor) -> Tensor:
    angle = strengths * math.radians(ANGLE)
    return torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1).view(-1, 2, 2)


def _shear(strengths: Tensor, axis: int) -> Tensor:
    linear = torch.eye(2, device=strengths.device).repeat(len(strengths), 1, 1)
    linear[:, axis, 1 - axis] = strengths * SHEAR
    return linear


def _still(linear: Tensor) -> Tensor:
    """About the centre."""
    return torch.cat([linear, torch.zeros_like(linear[:, :, :1])], 2)


def _whole(linear: Tensor) -> Tensor:
    """About the centre, and smaller, so that the picture's corners stay in."""
    reach = torch.linalg.inv_ex(linear)[0].abs().sum(2).amax(1)
    return _still(linear * reach[:, None, None])


def _shift(strengths: Tensor, axis: int) -> Tensor:
    maps = torch.eye(2, 3, device=strengths.device).repeat(len(strengths), 1, 1)
    maps[:, axis, 2] = strengths * SHIFT
    return maps


MOVES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "rotate_inside": lambda strengths: _whole(_turn(strengths)),
    "shear_inside": lambda strengths: _whole(_shear(strengths, 0)),
    "rotate": lambda strengths: _still(_turn(strengths)),
    "shear_x": lambda strengths: _still(_shear(strengths, 0)),
    "shear_y": lambda strengths: _still(_shear(strengths, 1)),
    "translate_x": lambda strengths: _shift(strengths, 0),
    "translate_y": lambda strengths: _shift(strengths, 1),
}
