"""Batches from arrays on disk: the only place that makes a DataLoader."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ssl_pcb.errors import UserError

Item = TypeVar("Item")

HEARD_OF_SOON = 1.0
"""Seconds within which the system tells a process that one that it started has ended."""


@dataclass  # not frozen: Fabric rebuilds what goes into and out of a step field by field
class Batch:
    """Samples that go through a step together.

    Attributes:
        inputs: (B, C, H, H) uint8 pixels with their ring, or (B, D) float features.
        labels: (B,) class indices; -1 for unlabelled.
        boxes: (B, M, 4) defects of each sample, ``x1 y1 x2 y2`` in shares of its side, NaN where it has fewer than M;
            ``None`` where nobody asked for them.
    """

    inputs: Tensor
    labels: Tensor
    boxes: Tensor | None = None

    def pin_memory(self) -> Batch:
        """The same batch where a GPU can fetch it while the CPU goes on."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        boxes = None if self.boxes is None else change(self.boxes)
        return Batch(change(self.inputs), change(self.labels), boxes)


@dataclass(frozen=True)
class Share:
    """One process' part of every batch.

    Attributes:
        rank: Number of this process.
        world: Number of processes.
    """

    rank: int
    world: int

    def of(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Every ``world``-th of ``items``, beginning with the ``rank``-th: disjoint, together all."""
        return items[self.rank :: self.world]


ALONE = Share(0, 1)


class ArrayDataset(Dataset[Batch]):
    """Rows of a memory-mapped array, fetched a whole batch at a time.

    Of N rows, position N + i is row i with its pixels mirrored left to right.

    Args:
        inputs: (N, H, H, C) uint8 or (N, D) float array, usually memory-mapped.
        labels: (N,) class indices.
        rows: Rows of both that make up this data set.
        references: (N, H, H, C), golden images that join as further channels, or ``None``.
        boxes: Rows (B,) to the boxes (B, M, 4) of their samples, or ``None`` for batches without.
    """

    def __init__(
        self,
        inputs: NDArray[np.generic],
        labels: NDArray[np.int64],
        rows: NDArray[np.int64],
        references: NDArray[np.generic] | None = None,
        boxes: Callable[[NDArray[np.int64]], NDArray[np.float32]] | None = None,
    ) -> None:
        self.inputs, self.labels, self.rows, self.references, self.boxes = inputs, labels, rows, references, boxes

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def without_references(self) -> ArrayDataset:
        """The same pixels without golden images, and without boxes."""
        return ArrayDataset(self.inputs, self.labels, self.rows)

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        laps, numbers = np.divmod(np.asarray(positions, np.int64), len(self.rows))
        rows = self.rows[numbers]
        fetched = self.inputs[rows]
        if self.references is not None:
            fetched = np.concatenate([fetched, self.references[rows]], -1)
        if laps.any():
            fetched[laps == 1] = fetched[laps == 1, :, ::-1]
        inputs = torch.from_numpy(fetched)
        if inputs.ndim == 4:
            inputs = inputs.permute(0, 3, 1, 2)
        return Batch(inputs, torch.from_numpy(self.labels[rows]), self._boxes(rows, laps == 1))

    def _boxes(self, rows: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor | None:
        if self.boxes is None:
            return None
        boxes = self.boxes(rows)
        boxes[mirrored, :, ::2] = 1 - boxes[mirrored, :, ::2][..., ::-1]
        return torch.from_numpy(boxes)


def images_at_once(size: int, device: torch.device) -> int:
    """Images of ``size`` pixels that evaluation takes at a time.

    As many pixels as 256 images of 128 px have; on a CPU 64, whose maps are nearer to its caches.
    """
    most = 64 if device.type == "cpu" else 256
    return max(1, min(most, most * 128**2 // size**2))


def batches(
    dataset: ArrayDataset, order: NDArray[np.int64], batch_size: int, *, drop_last: bool, share: Share = ALONE
) -> DataLoader[Batch]:
    """Batches of ``dataset`` in the given order of positions, or one process' share of each.

    Memory-mapped pixels cost a copy, so the loader has no worker processes: they would take cores away from
    the step.
    """
    return DataLoader(
        dataset,
        batch_sampler=_Chunks(order, batch_size, drop_last, share),
        collate_fn=_as_is,
    )


def fetched(found: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches on ``device``; for a GPU each is read and pinned while the GPU computes the step before."""
    ready = one_ahead(found, Batch.pin_memory) if device.type == "cuda" else found
    return (batch.to(device) for batch in ready)


def one_ahead(items: Iterable[Item], prepare: Callable[[Item], Item]) -> Iterator[Item]:
    """Each item prepared, by a thread that is one item ahead."""
    source, thread = iter(items), ThreadPoolExecutor(1)

    def submit() -> Future[Item | None]:
        return thread.submit(lambda: None if (item := next(source, None)) is None else prepare(item))

    try:
        coming = submit()
        while (item := coming.result()) is not None:
            coming = submit()
            yield item
    finally:
        thread.shutdown(wait=False, cancel_futures=True)  # whoever interrupts does not wait for a slow disk


class _Chunks:
    def __init__(self, order: NDArray[np.int64], size: int, drop_last: bool, share: Share) -> None:
        self.order, self.size, self.share = order, size, share
        self.count = len(order) // size if drop_last else -(-len(order) // size)

    def __iter__(self) -> Iterator[list[int]]:
        # One at a time: Python numbers for a whole epoch would take more memory than the batches themselves.
        for start in range(0, self.count * self.size, self.size):
            yield self.share.of(self.order[start : start + self.size]).tolist()

    def __len__(self) -> int:
        return self.count


def _as_is(batch: Any) -> Any:  # __getitems__ has already made a batch of it
    return batch


@dataclass(frozen=True)
class Fault:
    """What the user can mend, met while a batch was made; takes the batch's place on its way to the trainer."""

    message: str


class _Streamed(DataLoader[Batch]):
    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in self._made():
            if isinstance(batch, Fault):
                raise UserError(batch.message)
            yield batch

    def _made(self) -> Iterator[Batch | Fault]:
        try:
            made = super().__iter__()
            if self.num_workers:
                _explain_dead_workers()
            yield from made  # type: ignore[misc]
        except RuntimeError as error:
            _tell_of_dead_worker(error)
            raise
        except (ConnectionError, EOFError) as error:  # it died while it handed a batch over
            time.sleep(HEARD_OF_SOON)
            raise _dead_worker(f"DataLoader worker hung up: {error}") from None


def _tell_of_dead_worker(error: RuntimeError) -> None:
    if str(error).startswith("DataLoader worker"):
        raise _dead_worker(str(error)) from None


def _dead_worker(reason: str) -> UserError:
    return UserError(
        f"shard_workers: a process that reads shards was killed ({reason.splitlines()[0][:120]}); if memory ran out, "
        "take fewer with --shard-workers, or 0"
    )


def _explain_dead_workers() -> None:
    """Let torch's handler, which tells of a dead worker wherever the main thread is just then, raise what we print."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGCHLD)
    if not callable(handler) or handler.__module__ == __name__:
        return

    def explain(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except RuntimeError as error:
            _tell_of_dead_worker(error)
            raise

    signal.signal(signal.SIGCHLD, explain)


def streamed_batches(dataset: IterableDataset[Batch | Fault], workers: int) -> DataLoader[Batch]:
    """The batches that ``dataset`` makes, which knows their number.

    Args:
        dataset: Yields whole batches, or a fault and then nothing more.
        workers: Processes that make them, each its part; 0 = this one.
    """
    return _Streamed(
        dataset,  # type: ignore[arg-type]
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_is,
    )
