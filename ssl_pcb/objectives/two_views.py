"""What methods that compare two views of each sample have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from lightly.utils.debug import std_of_l2_normalized
from torch import Tensor

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.data.loaders import Batch

GATHER = torch.distributed.is_available()
"""What lightly's losses take for ``gather_distributed``: without other processes they then gather nothing."""


def two_views(views: ViewMaker, batch: Batch, generator: torch.Generator) -> Tensor:
    """Two random views of each of the B samples, as (2B, C, S, S) in [0, 1]: row i and row B + i belong together.

    They go through the network in one pass, as SimCLR's do. Barlow Twins, VICReg, SimSiam and BYOL were published
    with one pass for each view, and so with batch statistics of each view apart; here both views are drawn alike,
    and statistics of both together estimate the same from twice the samples.
    """
    with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
        return torch.cat([views(batch.inputs, generator), views(batch.inputs, generator)])


def compare(loss: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> Tensor:
    """``loss`` of two (B, D) tensors, in float32: bfloat16 has too few digits for exponentials and variances."""
    with torch.autocast(first.device.type, enabled=False):
        return loss(first.float(), second.float())


def spread(outputs: Tensor) -> Tensor:
    """Mean standard deviation of L2-normalised outputs (B, D), times sqrt(D): about 1 in health, 0 in collapse.

    Chen and He 2021 (arXiv 2011.10566), figure 2.
    """
    std: Tensor = std_of_l2_normalized(outputs.float()) * outputs.shape[1] ** 0.5
    return std
