"""What a supervised step learns from, and what makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """How the pictures of a batch were put together.

    Attributes:
        partners: (B,) the picture that each one was mixed with.
        share: () share of each picture that is its own, 0 to 1.
        pasted: (4,) where the partner lies, ``x1 y1 x2 y2`` in shares of the side; ``None`` = everywhere: a blend.
    """

    partners: Tensor
    share: Tensor
    pasted: Tensor | None = None


@dataclass(frozen=True)
class Augmented:
    """What a supervised step learns from.

    Attributes:
        images: (copies * B, C, S, S) float in [0, 1]: first the pictures to be classified, then changed copies of all.
        labels: (B,) class indices.
        maps: (B, 2, 3) from the pictures to their samples, as :func:`ssl_pcb.augment.geometric.draw_maps` has them.
        mixture: How pictures were put together, or ``None``.
        others: (B,) class indices of each picture's other part, which count by ``1 - mixture.share`` beside the labels;
            ``None`` where a picture has one label.
        copies: Images of each picture.
        consistency: Weight of the loss that holds the copies' predictions together.
        painted: (B,) bool, pictures that show a defect which was painted on them; ``None`` = none does.
    """

    images: Tensor
    labels: Tensor
    maps: Tensor
    mixture: Mixture | None = None
    others: Tensor | None = None
    copies: int = 1
    consistency: float = 0.0
    painted: Tensor | None = None


class Augment(Protocol):
    """Makes training images of stored samples."""

    def __call__(
        self, pixels: Tensor, labels: Tensor, generator: torch.Generator, boxes: Tensor | None = None
    ) -> Augmented:
        """Training images of a batch.

        Args:
            pixels: (B, C, H, H) uint8, with their ring of surroundings.
            labels: (B,) class indices.
            generator: Source of randomness, on the device of the pixels.
            boxes: (B, M, 4) defects in shares of the sample's side, NaN where there is none; for those that ask.
        """
        ...
