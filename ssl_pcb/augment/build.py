"""From an augmentation's config to what makes training images of stored samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import AugmentConfig, NoAugmentConfig, StandardConfig, SymmetriesConfig


@dataclass(frozen=True)
class Augmented:
    """What a supervised step learns from.

    Attributes:
        images: (B, C, S, S) float in [0, 1].
        labels: (B,) class indices.
    """

    images: Tensor
    labels: Tensor


class Augment(Protocol):
    """Makes training images of stored samples."""

    def __call__(self, pixels: Tensor, labels: Tensor, generator: torch.Generator) -> Augmented:
        """Training images of (B, C, H, H) uint8 pixels, whose class indices are ``labels`` (B,)."""
        ...


@dataclass(frozen=True)
class OneView:
    """Each sample under one random view; its label is its own."""

    views: ViewMaker

    def __call__(self, pixels: Tensor, labels: Tensor, generator: torch.Generator) -> Augmented:
        """See :class:`Augment`."""
        return Augmented(self.views(pixels, generator), labels)


def build_augment(config: AugmentConfig, size: int) -> Augment:
    """What ``config`` names, for samples of ``size`` pixels."""
    match config:
        case NoAugmentConfig() | SymmetriesConfig() | StandardConfig():
            return OneView(ViewMaker(config.view, size))
