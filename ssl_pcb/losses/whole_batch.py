"""The batch of all processes, of which each has a share: what losses see of the others' shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from lightly.utils.dist import gather, rank, world_size
from torch import Tensor

_BY_ITSELF = ContextVar("by_itself", default=False)


@contextmanager
def by_itself() -> Iterator[None]:
    """While this process trains what the others do not: its batches are whole, and nobody answers."""
    before = _BY_ITSELF.set(True)
    try:
        yield
    finally:
        _BY_ITSELF.reset(before)


def shares() -> tuple[int, int]:
    """The number of this process' share, and of all shares."""
    return (0, 1) if _BY_ITSELF.get() else (rank(), world_size())


def gathered(rows: Tensor) -> Tensor:
    """The rows (B, ...) of every process, (processes * B, ...), through which gradients flow back to each.

    A loss of them is the same on every process, and averaging gradients over processes gives its gradient.
    """
    return torch.cat(gather(rows)) if shares()[1] > 1 else rows


def summed(values: Tensor) -> Tensor:
    """The sum of every process' values, of any shape, with gradients as for :func:`gathered`."""
    return torch.stack(gather(values)).sum(0) if shares()[1] > 1 else values
