"""Batches from arrays on disk: the only place that makes a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


@dataclass  # not frozen: Fabric rebuilds what goes into and out of a step field by field
class Batch:
    """Samples that go through a step together.

    Attributes:
        inputs: (B, C, H, H) uint8 pixels with their ring, or (B, D) float features.
        labels: (B,) class indices; -1 for unlabelled.
    """

    inputs: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return Batch(self.inputs.to(device, non_blocking=True), self.labels.to(device, non_blocking=True))


class ArrayDataset(Dataset[Batch]):
    """Rows of a memory-mapped array, fetched a whole batch at a time.

    Args:
        inputs: (N, H, H, C) uint8 or (N, D) float array, usually memory-mapped.
        labels: (N,) class indices.
        rows: Rows of both that make up this data set.
    """

    def __init__(self, inputs: NDArray[np.generic], labels: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        self.inputs, self.labels, self.rows = inputs, labels, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        rows = self.rows[np.asarray(positions)]
        inputs = torch.from_numpy(self.inputs[rows])
        if inputs.ndim == 4:
            inputs = inputs.permute(0, 3, 1, 2)
        return Batch(inputs, torch.from_numpy(self.labels[rows]))


def batches(dataset: ArrayDataset, order: NDArray[np.int64], batch_size: int, *, drop_last: bool) -> DataLoader[Batch]:
    """Batches of ``dataset`` in the given order of positions.

    Memory-mapped pixels cost a copy, so the loader has no worker processes: they would take cores away from
    the step.
    """
    return DataLoader(
        dataset,
        batch_sampler=_Chunks(order, batch_size, drop_last),
        collate_fn=_as_is,
        pin_memory=torch.cuda.is_available(),
    )


class _Chunks:
    def __init__(self, order: NDArray[np.int64], size: int, drop_last: bool) -> None:
        count = len(order) // size if drop_last else -(-len(order) // size)
        self.chunks = [order[i * size : (i + 1) * size].tolist() for i in range(count)]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.chunks)

    def __len__(self) -> int:
        return len(self.chunks)


def _as_is(batch: Any) -> Any:  # __getitems__ has already made a batch of it
    return batch
