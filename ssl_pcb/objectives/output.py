"""What a training step gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass  # not frozen: Fabric rebuilds it field by field
class StepOutput:
    """Loss of a batch and what to log beside it.

    Attributes:
        loss: Scalar to differentiate.
        logs: Detached scalars by name.
    """

    loss: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)


def blended(first: StepOutput, second: StepOutput, share: Tensor) -> StepOutput:
    """Loss and logs of two steps in one, of which ``share`` () is the second's."""
    logs = {name: torch.lerp(value, second.logs[name], share) for name, value in first.logs.items()}
    return StepOutput(torch.lerp(first.loss, second.loss, share), logs)
