"""What a supervised loss asks of the step around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_pcb.losses.inputs import LossInputs


class SupervisedLoss(nn.Module):
    """From :class:`LossInputs` to a scalar in float32; most losses ask for nothing else.

    Attributes:
        views: Random views of each sample in a batch.
        detached: Whether the last layer learns on features that its gradient does not reach.
    """

    views: int = 1
    detached: bool = False

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss of a batch."""
        raise NotImplementedError

    def correction(self, class_counts: Tensor) -> Tensor | None:
        """What predictions are corrected by when training is over: (K,) to add to the logits; ``None`` = nothing."""
        return None


class AnnealedLoss(SupervisedLoss):
    """A loss that changes in the course of training, and so counts its steps.

    Attributes:
        steps: Training steps so far; saved with the weights, so that ``--resume`` goes on from there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.tensor(0))
        self.steps: Tensor

    def count(self) -> Tensor:
        """Number of steps before this one, which is counted in training mode."""
        before = self.steps.clone()
        if self.training:
            self.steps += 1
        return before
