"""Batches out of shards, each sample once over all processes and workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from ssl_pcb.data.loaders import Batch, Fault, Share
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.shards.facts import UNKNOWN, Facts, parse_facts
from ssl_pcb.data.shards.opening import opened_shard, read_on
from ssl_pcb.data.shards.shuffle import shuffled
from ssl_pcb.data.shards.survey import Survey
from ssl_pcb.data.shards.tar import Raw, read_samples
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import decode
from ssl_pcb.imaging.encoded import Encoded
from ssl_pcb.imaging.orientation import Image8
from ssl_pcb.imaging.resize import cut

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


@dataclass(frozen=True)
class Decoder:
    """How the image of a sample becomes pixels.

    Attributes:
        size: Side of a sample in pixels.
        margin: Width of its ring in pixels.
        ready: Whether images were cut to that already; others are cut here.
        channels: 1 or 3.
        bit_depth: Significant bits of images of 16 bits.
        max_pixels: Larger images are refused.
    """

    size: int
    margin: int
    ready: bool
    channels: int
    bit_depth: int
    max_pixels: int

    def __call__(self, raw: Raw) -> tuple[Image8, Facts]:
        """Pixels (H, H, C), H = size + 2 * margin, and facts.

        Raises:
            UserError: On a damaged, huge or too deep image, one of another size, one of a split that is
                not learned from.
        """
        facts = parse_facts(raw.facts, f"{raw.name}.json") if raw.facts else UNKNOWN
        if facts.split not in ("", "train"):
            raise UserError(f"{raw.name}: is of split '{facts.split}', its index says otherwise; write the shards anew")
        if not raw.image.startswith(_SIGNATURES):
            raise UserError(f"{raw.name}: its image is neither png nor jpg")
        source = Encoded(raw.name, raw.image)
        image = decode(source, channels=self.channels, bit_depth=self.bit_depth, max_pixels=self.max_pixels)
        if not self.ready:
            return cut(image, None, self.size, self.margin), facts
        side = self.size + 2 * self.margin
        if image.shape[:2] != (side, side):
            found = f"{image.shape[1]} x {image.shape[0]}"
            raise UserError(f"{raw.name}: has {found} px, not {side} x {side} as its json says; write the shards anew")
        return image, facts


@dataclass(frozen=True)
class Row:
    """The order in which an epoch shows samples: shards one after the other, from some sample in them on.

    Attributes:
        shards: (S,) positions of shards.
        learnable: (N,) which samples of all may be learned from, in the survey's order.
        starts: (S + 1,) number of each shard's first sample in the survey's order.
        first: Place where the row begins; the samples before follow at its end.
    """

    shards: NDArray[np.int64]
    learnable: NDArray[np.bool_]
    starts: NDArray[np.int64]
    first: int

    def __len__(self) -> int:
        return int(self.learnable.sum())

    def run(self, begin: int, end: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Places ``begin`` to ``end`` of the row: shards, and the numbers of the samples within each."""
        count = len(self)
        low, high = begin + self.first, end + self.first
        for a, b in ((low, min(high, count)), (max(low, count) - count, high - count)):
            yield from self._straight(a, b)

    def _straight(self, begin: int, end: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        at = 0
        for shard in self.shards if begin < end else ():
            numbers = np.flatnonzero(self.learnable[self.starts[shard] : self.starts[shard + 1]])
            part = numbers[max(begin - at, 0) : max(end - at, 0)]
            at += len(numbers)
            if len(part):
                yield int(shard), part


class ShardBatches(IterableDataset[Batch | Fault]):
    """One process' whole batches of an epoch.

    The row of all samples is cut into runs, one for each process and in it one for each worker, so that only
    the shards at the ends of runs are opened twice. Within a run samples are drawn at random from a buffer.

    Args:
        shards: The set.
        row: The epoch's order.
        decoder: How images become pixels.
        batch_size: Samples of a batch over all processes.
        share: This process' part.
        seed: Seeds that, with process and worker, make the order within a run.
    """

    def __init__(
        self, shards: Survey, row: Row, decoder: Decoder, batch_size: int, share: Share, seed: tuple[int, ...]
    ) -> None:
        self.shards, self.sizes, self.row, self.decoder = shards.shards, shards.sizes, row, decoder
        self.share, self.seed = share, seed
        self.steps, self.batch_size = len(row) // batch_size, batch_size // share.world
        self.most = int(np.diff(shards.starts).max())

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch | Fault]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        rng = np.random.default_rng([*self.seed, self.share.rank, number])
        try:
            yield from _batches(self._samples(number, workers, rng), self.decoder, self.batch_size, ahead=not worker)
        except UserError as error:  # torch would wrap it into the text of a traceback
            yield Fault(str(error))

    def _samples(self, worker: int, workers: int, rng: np.random.Generator) -> Iterator[Raw]:
        mine = self.share.rank * self.steps
        begin, end = (mine + self.steps * part // workers for part in (worker, worker + 1))
        read = self._read(begin * self.batch_size, end * self.batch_size)
        return shuffled(read, lambda raw: len(raw.image) + len(raw.facts), self.most, rng)

    def _read(self, begin: int, end: int) -> Iterator[Raw]:
        for shard, numbers in self.row.run(begin, end):
            yield from read_numbers(self.shards[shard], self.sizes[shard], numbers)


def read_numbers(shard: str, size: int | None, numbers: NDArray[np.int64]) -> Iterator[Raw]:
    """The samples of a shard with the given numbers (ascending).

    A server that goes away meanwhile is asked again, and what was read already is gone over.

    Raises:
        UserError: If it cannot be read, or has fewer samples.
    """
    done = 0

    def rest() -> Iterator[Raw]:
        nonlocal done
        for raw in _read_once(shard, size, numbers[done:]):
            done += 1
            yield raw

    yield from read_on(rest)


def _read_once(shard: str, size: int | None, numbers: NDArray[np.int64]) -> Iterator[Raw]:
    wanted = np.zeros(numbers[-1] + 1, bool)
    wanted[numbers] = True
    left = len(numbers)
    with opened_shard(shard, size) as file:
        for raw in read_samples(file, shard, lambda number: number < len(wanted) and bool(wanted[number])):
            if raw is not None:
                yield raw
                left -= 1
            if not left:
                return
    raise UserError(f"{shard}: has fewer samples than when it was counted; copy it anew, or write the shards again")


def _batches(samples: Iterator[Raw], decoder: Decoder, size: int, *, ahead: bool) -> Iterator[Batch]:
    """Whole batches; if ``ahead``, the next one is decoded by threads while the present one is used."""
    if not ahead:
        while raws := _take(samples, size):
            yield _stack([decoder(raw) for raw in raws])
        return
    pool = ThreadPoolExecutor(min(4, cores()))  # Pillow decodes outside the interpreter lock
    waiting: deque[list[Future[tuple[Image8, Facts]]]] = deque()
    try:
        while (raws := _take(samples, size)) or waiting:
            if raws:
                waiting.append([pool.submit(decoder, raw) for raw in raws])
            if len(waiting) > 1 or not raws:
                yield _stack([future.result() for future in waiting.popleft()])
    finally:
        pool.shutdown(cancel_futures=True)


def _take(samples: Iterator[Raw], size: int) -> list[Raw]:
    return list(islice(samples, size))


def _stack(decoded: list[tuple[Image8, Facts]]) -> Batch:
    inputs = torch.from_numpy(np.stack([image for image, _ in decoded])).permute(0, 3, 1, 2)
    return Batch(inputs, torch.tensor([facts.label for _, facts in decoded], dtype=torch.int64))
