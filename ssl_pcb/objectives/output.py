"""What a training step gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

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
