"""From an augmentation's config to what makes training images of stored samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_pcb.augment.augmented import Augment, Augmented
from ssl_pcb.augment.augmix import AugMix
from ssl_pcb.augment.mixing import CutMix, MixUp
from ssl_pcb.augment.painting import Painting
from ssl_pcb.augment.randaugment import RandAugment
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import NoAugmentConfig, StandardConfig, SymmetriesConfig
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig
from ssl_pcb.config.operations import AugMixConfig, RandAugmentConfig
from ssl_pcb.config.painting import PaintedConfig
from ssl_pcb.config.policy import AugmentConfig


@dataclass(frozen=True)
class OneView:
    """Each sample under one random view; its label is its own."""

    views: ViewMaker

    def __call__(
        self, pixels: Tensor, labels: Tensor, generator: torch.Generator, boxes: Tensor | None = None
    ) -> Augmented:
        """See :class:`~ssl_pcb.augment.augmented.Augment`."""
        images, maps = self.views.with_maps(pixels, generator)
        return Augmented(images, labels, maps)


def build_augment(config: AugmentConfig, size: int, context: int = 0, *, references: bool = False) -> Augment:
    """What ``config`` names, for views of ``size`` pixels, of which ``context`` on each side surround the sample.

    With ``references`` the second half of the channels is the golden image.
    """
    views = ViewMaker(config.view, size, context, references)
    match config:
        case NoAugmentConfig() | SymmetriesConfig() | StandardConfig():
            return OneView(views)
        case CutMixConfig():
            return CutMix(views, config)
        case MixUpConfig():
            return MixUp(views, config)
        case AugMixConfig():
            return AugMix(views, config)
        case RandAugmentConfig():
            return RandAugment(views, config)
        case PaintedConfig():
            return Painting(views, config)
