"""Optimisers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lightly.utils.lars import LARS
from timm.optim._param_groups import param_groups_weight_decay
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ssl_pcb.config.optim import AdamConfig, AdamWConfig, LARSConfig, OptimizerConfig, SGDConfig


def build_optimizer(
    config: OptimizerConfig,
    module: nn.Module,
    batch_size: int,
    scales: Mapping[nn.Parameter, float] | None = None,
) -> Optimizer:
    """The optimiser that ``config`` names, over what is not frozen.

    Biases and norms have no weight decay, unless ``config`` says so.

    Args:
        config: Of the optimiser.
        module: Whose parameters it trains.
        batch_size: Samples per step, over all processes together.
        scales: By which share of the rate some parameters learn; all others at the whole rate.
    """
    spare = not (isinstance(config, SGDConfig) and config.decay_all)
    lr = config.lr * batch_size / 256 if isinstance(config, LARSConfig) else config.lr
    by_decay = param_groups_weight_decay(module, config.weight_decay, weight_decay_exclude_1d=spare)
    groups = _split_by_rate(by_decay, lr, scales or {})
    match config:
        case AdamWConfig():
            return AdamW(groups, lr=lr, fused=True)
        case AdamConfig():
            return Adam(groups, lr=lr, fused=True)
        case SGDConfig():
            return SGD(groups, lr=lr, momentum=config.momentum, nesterov=config.nesterov, fused=True)
        case LARSConfig():
            lars: Optimizer = LARS(groups, lr=lr, momentum=config.momentum)
            return lars


def _split_by_rate(
    groups: Iterable[dict[str, Any]], lr: float, scales: Mapping[nn.Parameter, float]
) -> list[dict[str, Any]]:
    """The same groups, each split into those of one learning rate."""
    split: dict[tuple[int, float], dict[str, Any]] = {}
    for number, group in enumerate(groups):
        for parameter in group["params"]:
            scale = scales.get(parameter, 1.0)
            part = split.setdefault((number, scale), {**group, "params": [], "lr": lr * scale})
            part["params"].append(parameter)
    return list(split.values())
