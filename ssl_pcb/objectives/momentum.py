"""A copy of a network that follows it slowly."""

from __future__ import annotations

import copy

import torch
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn


class MomentumCopy(nn.Module):
    """A copy of modules in a row whose weights are a moving average of theirs (He et al. 2020, arXiv 1911.05722).

    Only the weights are averaged: batch norm in the copy gathers statistics of its own, as in MoCo and BYOL.
    No gradient reaches it, so no optimiser takes it up.
    """

    def __init__(self, *originals: nn.Module) -> None:
        super().__init__()
        self.copies = nn.Sequential(*(copy.deepcopy(original) for original in originals))
        deactivate_requires_grad(self.copies)

    def follow(self, *originals: nn.Module, momentum: float) -> None:
        """Take ``momentum`` of the old weights and the rest of the originals' as they are now.

        Called at the beginning of a training step; evaluation changes nothing.
        """
        if self.training:
            for original, follower in zip(originals, self.copies, strict=True):
                update_momentum(original, follower, momentum)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The copy's outputs, without gradient."""
        outputs: Tensor = self.copies(images)
        return outputs
