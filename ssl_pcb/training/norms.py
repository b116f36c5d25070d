"""Batch norm where several processes share a batch."""

from __future__ import annotations

import logging

from lightning_fabric import Fabric
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

log = logging.getLogger(__name__)


def prepare_norms(module: nn.Module, fabric: Fabric) -> None:
    """Let batch norms see the whole batch on GPUs; on CPUs, for which torch has no such layer, say that they do not."""
    if fabric.world_size == 1 or not any(isinstance(each, _BatchNorm) for each in module.modules()):
        return
    if fabric.device.type == "cuda":
        convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return
    log.warning(
        "batch norm: every process computes statistics of its own share of the batch (torch synchronises them on "
        "GPUs only), so results depend on the number of processes; backbone.norm=group avoids it in the backbone, "
        "method.head_batch_norm=false in the heads that have that key"
    )
