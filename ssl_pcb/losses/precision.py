"""The precision that losses compute in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in float32, because sums of exponentials need it; what is more precise stays as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
