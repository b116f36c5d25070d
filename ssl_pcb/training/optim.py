"""Optimisers and the learning-rate curve."""

from __future__ import annotations

from lightly.utils.lars import LARS
from lightly.utils.scheduler import cosine_warmup_schedule
from timm.optim._param_groups import param_groups_weight_decay
from torch import nn
from torch.optim import AdamW, Optimizer

from ssl_pcb.config.optim import AdamWConfig, LARSConfig, OptimizerConfig, TrainingConfig


def build_optimizer(config: OptimizerConfig, module: nn.Module, batch_size: int) -> Optimizer:
    """The optimiser that ``config`` names, without weight decay on biases and norms."""
    groups = param_groups_weight_decay(module, config.weight_decay)
    match config:
        case AdamWConfig():
            return AdamW(groups, lr=config.lr, fused=True)
        case LARSConfig():
            lars: Optimizer = LARS(groups, lr=config.lr * batch_size / 256, momentum=config.momentum)
            return lars


def set_learning_rate(optimizer: Optimizer, config: TrainingConfig, step: int, steps: int) -> float:
    """Set every group's rate for ``step`` of ``steps``: linear warm-up, then cosine to zero.

    The peak is the rate that each group was built with. Being a function of the step alone, the curve needs
    no state of its own in a checkpoint.

    Returns:
        The first group's rate.
    """
    factor = cosine_warmup_schedule(
        step=step,
        max_steps=steps,
        start_value=1.0,
        end_value=0.0,
        warmup_steps=int(config.warmup * steps),
        warmup_start_value=0.0,
    )
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("peak_lr", group["lr"]) * factor
    return float(optimizer.param_groups[0]["lr"])
