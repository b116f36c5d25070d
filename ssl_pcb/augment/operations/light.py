"""Operations on grey values and colours; pictures are (N, C, H, W) in [0, 1], C = 1 or 3, strengths (N, 1, 1, 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

RELATIVE = 0.9
"""Strongest relative change of brightness, contrast, colour and sharpness."""


def _autocontrast(images: Tensor, strengths: Tensor) -> Tensor:
    changed: Tensor = F.autocontrast(images)
    return changed


def _equalize(images: Tensor, strengths: Tensor) -> Tensor:
    changed: Tensor = F.equalize(images)
    return changed


def _posterize(images: Tensor, strengths: Tensor) -> Tensor:
    """To 4 bits and at the strongest to 1."""
    step = 2 ** (8 - (4 - (4 * strengths.abs()).floor()).clamp(min=1))
    return ((images * 255).round() / step).floor() * step / 255


def _solarize(images: Tensor, strengths: Tensor) -> Tensor:
    """Inverts what is brighter than 1 less the strength."""
    return torch.where(images < 1 - strengths.abs(), images, 1 - images)


def _brightness(images: Tensor, strengths: Tensor) -> Tensor:
    return images * (1 + RELATIVE * strengths)


def _contrast(images: Tensor, strengths: Tensor) -> Tensor:
    return _away_from(_grey(images).mean((1, 2, 3), keepdim=True), images, strengths)


def _color(images: Tensor, strengths: Tensor) -> Tensor:
    return _away_from(_grey(images), images, strengths)


def _sharpness(images: Tensor, strengths: Tensor) -> Tensor:
    size = images.shape[-1]
    single = images.view(len(images), images.shape[1], -1, size, size).transpose(1, 2).flatten(0, 1)
    smooth = F.adjust_sharpness(single, 0.0).view(len(images), -1, *single.shape[1:]).transpose(1, 2)
    return _away_from(smooth.reshape(images.shape), images, strengths)


def _grey(images: Tensor) -> Tensor:
    grey: Tensor = F.rgb_to_grayscale(images)
    return grey


def _away_from(origin: Tensor, images: Tensor, strengths: Tensor) -> Tensor:
    return origin + (1 + RELATIVE * strengths) * (images - origin)


LIGHTS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "posterize": _posterize,
    "solarize": _solarize,
    "brightness": _brightness,
    "contrast": _contrast,
    "color": _color,
    "sharpness": _sharpness,
}
"""Pictures and strengths to changed pictures, which may leave [0, 1]."""
