"""The learning-rate curve."""

from __future__ import annotations

from lightly.utils.scheduler import cosine_warmup_schedule
from torch.optim import Optimizer

from ssl_pcb.config.optim import ConstantConfig, CosineConfig, StepConfig, TrainingConfig


def set_learning_rate(optimizer: Optimizer, config: TrainingConfig, step: int, steps: int) -> float:
    """Set every group's rate for ``step`` of ``steps``: linear warm-up, then the schedule.

    The peak is the rate that each group was built with. Being a function of the step alone, the curve needs
    no state of its own in a checkpoint.

    Args:
        optimizer: Whose rates are set.
        config: Epochs, warm-up and schedule.
        step: From 0.
        steps: Of all epochs together, each of which has as many.

    Returns:
        The highest rate.
    """
    factor = _factor(config, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("peak_lr", group["lr"]) * factor
    return max(float(group["lr"]) for group in optimizer.param_groups)


def _factor(config: TrainingConfig, step: int, steps: int) -> float:
    """The share of the peak at ``step``."""
    warm = int(config.warmup * steps)
    rising = min(1.0, (step + 1) / warm) if warm else 1.0
    match config.schedule:
        case CosineConfig():
            share: float = cosine_warmup_schedule(
                step=step, max_steps=steps, start_value=1.0, end_value=0.0, warmup_steps=warm, warmup_start_value=0.0
            )
            return share
        case StepConfig(milestones=milestones, factor=factor):
            finished = step // (steps // config.epochs)
            # A quotient of whole numbers is the float that its decimal fraction is read as; a product may be above it.
            drops = sum(finished / config.epochs >= milestone for milestone in milestones)
            return float(rising * factor**drops)
        case ConstantConfig():
            return rising
