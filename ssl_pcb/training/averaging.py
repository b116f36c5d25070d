"""Moving average of weights."""

from __future__ import annotations

from timm.utils.model_ema import ModelEmaV3
from torch import nn


def average_of(module: nn.Module, decay: float | None) -> ModelEmaV3 | None:
    """An exponential moving average that follows ``module`` (Polyak & Juditsky 1992), for evaluation alone.

    The running statistics of batch norm are averaged like weights: so they lag as far behind as these do, and suit
    them. After n steps the decay is at most 1 - n^(-2/3), or a short training would end near where it began.

    Args:
        module: Whose copy it starts as. A compiled one cannot be copied: the copy would run the original's weights.
        decay: Share of the old average that a step keeps; ``None`` = no average.
    """
    return None if decay is None else ModelEmaV3(module, decay, use_warmup=True)
