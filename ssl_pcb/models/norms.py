"""Batch norm, and what stands in for it."""

from __future__ import annotations

from timm.layers.norm import GroupNorm
from timm.layers.norm_act import BatchNormAct2d, GroupNormAct, freeze_batch_norm_2d
from torch import nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError

GROUPS = 32
"""Most groups of a group norm, the number that its paper settles on (Wu and He 2018, arXiv 1803.08494)."""


def with_norm(network: nn.Module, config: BackboneConfig) -> nn.Module:
    """``network`` with its batch norm as it is, frozen, or replaced by group norm.

    Raises:
        UserError: If there is no batch norm to replace, or the start weights need it.
    """
    if config.norm == "own":
        return network
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        raise UserError(f"backbone.norm: '{config.name}' has no batch norm to replace; set backbone.norm=own")
    if config.norm == "frozen":
        frozen: nn.Module = freeze_batch_norm_2d(network)  # type: ignore[no-untyped-call]
        return frozen
    if config.weights == "timm":
        raise UserError(
            "backbone.norm: timm's weights were learnt with batch norm and are of no use under group norm; "
            "set backbone.weights=none or backbone.norm=frozen"
        )
    _replace_batch_norm(network)
    return network


def _replace_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _group_norm(child))
        else:
            _replace_batch_norm(child)


def _group_norm(batch_norm: nn.BatchNorm2d) -> nn.Module:
    channels = batch_norm.num_features
    # At least two channels to a group: one alone is always zero where the feature map has shrunk to one pixel.
    groups = max(n for n in range(1, GROUPS + 1) if channels % n == 0 and (n == 1 or 2 * n <= channels))
    if isinstance(batch_norm, BatchNormAct2d):
        norm: nn.Module = GroupNormAct(channels, groups, eps=batch_norm.eps, affine=batch_norm.affine)
        norm.act, norm.drop = batch_norm.act, batch_norm.drop
    else:
        norm = GroupNorm(channels, groups, eps=batch_norm.eps, affine=batch_norm.affine)
    if batch_norm.affine:  # networks start the last norm of a residual branch at zero
        norm.weight, norm.bias = batch_norm.weight, batch_norm.bias
    return norm
