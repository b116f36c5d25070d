"""The eight symmetries of the square, and what a network says on average over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Symmetry(NamedTuple):
    """Sides swapped or not, then mirrored along some axes: together a turn, a mirror image, or both.

    Attributes:
        swapped: Whether rows and columns change places first.
        mirrored: Axes that are mirrored then; -2 are the rows.
    """

    swapped: bool
    mirrored: tuple[int, ...]

    def of(self, images: Tensor) -> Tensor:
        """The view of images (..., H, W)."""
        return (images.mT if self.swapped else images).flip(self.mirrored)

    def undone(self, maps: Tensor) -> Tensor:
        """Maps (..., h, w) of such a view, as they lie in the images themselves."""
        found = maps.flip(self.mirrored)
        return found.mT if self.swapped else found


AS_IT_IS = Symmetry(False, ())
SYMMETRIES = tuple(Symmetry(swapped, axes) for swapped in (False, True) for axes in ((), (-2,), (-1,), (-2, -1)))


def mean_over_symmetries(features: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Mean (B, D) of ``features`` over the eight views of images (B, C, H, W), one view at a time.

    Test-time augmentation (Krizhevsky et al. 2012 averaged over crops and mirror images): a network that has learned
    under random symmetries is not invariant to them. Nothing forces its filters to be, and as it skips pixels, each
    view shows it others.
    """
    # Cloned, because a CUDA graph writes the next view's features where this one's are.
    return torch.stack([features(symmetry.of(images)).clone() for symmetry in SYMMETRIES]).mean(0)


class OverSymmetries(nn.Module):
    """A network whose features may be means over the symmetries.

    Attributes:
        tta: Whether they are in eval mode; training always sees one view.
    """

    tta = False

    @property
    def views(self) -> tuple[Symmetry, ...]:
        """What it looks at to judge an image."""
        return SYMMETRIES if self.tta else (AS_IT_IS,)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, dim) of images (B, C, H, W) in [0, 1]."""
        if self.tta and not self.training:
            return mean_over_symmetries(self.features, images)
        return self.features(images)

    def features(self, images: Tensor) -> Tensor:
        """Features (B, dim) of images (B, C, H, W) in [0, 1], from one view of each."""
        raise NotImplementedError


@contextmanager
def one_view(network: OverSymmetries) -> Iterator[None]:
    """Let ``network`` judge by one view inside: what training chooses by must not cost more than training itself."""
    asked, network.tta = network.tta, False
    try:
        yield
    finally:
        network.tta = asked
