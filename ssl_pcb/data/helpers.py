"""Packing processes, and the work dealt out to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue

import ssl_pcb
from ssl_pcb.data.cutting import Cutter, Outcome, SourceFile


class HelperDied(Exception):
    """A packing process ended before its work did."""


class _Helper:
    """A process of :mod:`ssl_pcb.data.cutting`.

    Not one of multiprocessing's: those import the caller's main module, with all that it imports, and a killed
    caller leaves them behind.
    """

    def __init__(self, cutter: Cutter) -> None:
        path = [str(Path(ssl_pcb.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ssl_pcb.data.cutting"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii",
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        )  # fmt: skip
        self._say(asdict(cutter) | {"target": str(cutter.target)})

    def cut(self, files: Sequence[SourceFile]) -> list[Outcome]:
        self._say(files)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise HelperDied
        answer = json.loads(line)
        if isinstance(answer, dict):
            raise OSError(*answer["error"])
        return [Outcome(bytes.fromhex(digest), *rest) for digest, *rest in answer]

    def close(self) -> None:
        with suppress(BrokenPipeError), self.process:
            self.process.kill()

    def _say(self, what: object) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise HelperDied from None


def cut_with_helpers(cutter: Cutter, chunks: Iterable[list[SourceFile]], helpers: int) -> Iterator[list[Outcome]]:
    """Let processes cut ``chunks`` and yield what came of each, in their order.

    Small images take the interpreter as long as their decoder, so that threads would wait for each other.

    Raises:
        OSError: If the samples cannot be written.
        HelperDied: If a process is killed.
    """
    idle: SimpleQueue[_Helper] = SimpleQueue()

    def cut(files: list[SourceFile]) -> list[Outcome]:
        helper = idle.get()
        try:
            return helper.cut(files)
        finally:
            idle.put(helper)

    started: list[_Helper] = []
    pool = ThreadPoolExecutor(helpers)
    waiting: deque[Future[list[Outcome]]] = deque()
    try:
        for _ in range(helpers):
            started.append(_Helper(cutter))
            idle.put(started[-1])
        for chunk in chunks:
            waiting.append(pool.submit(cut, chunk))
            if len(waiting) > 2 * helpers:  # not all at once: a hundred thousand tasks take memory too
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for helper in started:
            helper.close()
        pool.shutdown(cancel_futures=True)
