"""Concurrent requests to batches: what waits is judged together."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, Thread

from ssl_pcb.deploy.items import Item
from ssl_pcb.deploy.merging import Prediction
from ssl_pcb.deploy.service.limits import BusyError, Limits

WORKERS = 2
"""Threads that judge: while the network computes for one, the other reads images."""

Judge = Callable[[Iterable[Item]], Iterator[Prediction]]
"""Images to predictions, one by one; called from several threads."""


@dataclass(frozen=True)
class _Waiting:
    item: Item
    answer: Future[Prediction] = field(default_factory=Future)


class Batcher:
    """Judges images in batches, each as large as what waits but for :attr:`Limits.batch` at most.

    A batch that is not full waits for :attr:`Limits.wait`, no longer. One thread at a time collects, so that those
    who are free do not share few images between them.
    """

    def __init__(self, judge: Judge, limits: Limits, seen: Callable[[int], object]) -> None:
        """Prepare; :meth:`start` begins.

        Args:
            judge: Judges a batch.
            limits: Its sizes.
            seen: Is told the size of each batch.
        """
        self.judge, self.limits, self.seen = judge, limits, seen
        self._queue: queue.Queue[_Waiting | None] = queue.Queue()
        self._collecting = Lock()
        self._workers = [Thread(target=self._work, name=f"judge {number}", daemon=True) for number in range(WORKERS)]

    def start(self) -> None:
        """Begin to judge."""
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Answer all that waits, and end. Nothing may be added meanwhile."""
        for _ in self._workers:
            self._queue.put(None)
        for worker in self._workers:
            worker.join()

    @property
    def waiting(self) -> int:
        """Images that wait, without those that are being judged."""
        return self._queue.qsize()

    def add(self, items: Sequence[Item]) -> list[Future[Prediction]]:
        """Let images wait for their turn, all of them or none. Called from one thread.

        Raises:
            BusyError: If there are too many waiting.
        """
        if self.waiting + len(items) > self.limits.queue:
            raise BusyError(f"{self.waiting} images wait, of {self.limits.queue} that may")
        entries = [_Waiting(item) for item in items]
        for entry in entries:
            self._queue.put(entry)
        return [entry.answer for entry in entries]

    def _work(self) -> None:
        while batch := self._collected():
            self.seen(len(batch))
            self._answer(batch)

    def _collected(self) -> list[_Waiting]:
        """The next batch; empty at the end."""
        with self._collecting:
            if (first := self._queue.get()) is None:
                return []
            batch, until = [first], time.monotonic() + self.limits.wait
            while len(batch) < self.limits.batch:
                try:
                    entry = self._queue.get(timeout=max(0, until - time.monotonic()))
                except queue.Empty:
                    break
                if entry is None:  # the end of a worker: nothing but other such ones comes after it
                    self._queue.put(None)
                    break
                batch.append(entry)
        return batch

    def _answer(self, batch: list[_Waiting]) -> None:
        batch = [entry for entry in batch if entry.answer.set_running_or_notify_cancel()]
        try:
            for entry, found in zip(batch, self.judge(entry.item for entry in batch), strict=True):
                entry.answer.set_result(found)
        except Exception as error:  # whatever it is, it goes to those who asked, and the service lives on
            for entry in batch:
                if not entry.answer.done():
                    entry.answer.set_exception(error)
