"""Samples cut out of their source files: what a packing process does. It imports neither pandas nor torch."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

import numpy as np

from ssl_pcb.errors import BitDepthError, UserError
from ssl_pcb.imaging.decode import decode_for_cut, probe
from ssl_pcb.imaging.encoded import Encoded
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.resize import size_of
from ssl_pcb.imaging.sample import cut_sample, outside

HASH_BYTES = 16
"""Bytes of a file's SHA-256 that are kept."""


@dataclass(frozen=True)
class StoreSpec:
    """How samples became pixels.

    Attributes:
        size: Side of what the network sees of a sample, in pixels.
        margin: Width of the ring of surroundings around that, in pixels.
        channels: 1 or 3.
        bit_depth: Significant bits of 16-bit sources.
        context: Pixels on each side of what the network sees that are surroundings too.
    """

    size: int
    margin: int
    channels: int
    bit_depth: int
    context: int = 0

    @property
    def own(self) -> int:
        """Side of the sample itself, in pixels."""
        return self.size - 2 * self.context

    @property
    def ring(self) -> int:
        """Width of all that surrounds the sample itself, in pixels."""
        return self.context + self.margin

    @property
    def side(self) -> int:
        """Side of a sample with its ring, in pixels."""
        return self.size + 2 * self.margin

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return self.side * self.side * self.channels


class SourceFile(NamedTuple):
    """A file and the samples to cut out of it.

    Attributes:
        path: Where it lies.
        state: Its bytes and modification time in ns when packing began.
        rows: Manifest rows of its samples.
        crops: Their parts of the image; ``None`` = all of it.
    """

    path: str
    state: tuple[int, int]
    rows: Sequence[int]
    crops: Sequence[Box | None]


class Outcome(NamedTuple):
    """What came of a file.

    Attributes:
        hash: First bytes of its SHA-256.
        width: Width of the upright image in pixels.
        height: Its height.
        fault: What is wrong with it; empty if nothing.
        fatal: Whether the fault is none that leaving the file out would mend.
    """

    hash: bytes = bytes(HASH_BYTES)
    width: int = 0
    height: int = 0
    fault: str = ""
    fatal: bool = False


class _Changed(UserError):
    pass


@dataclass(frozen=True)
class Cutter:
    """Writes samples to their places in a file.

    Attributes:
        spec: How samples become pixels.
        max_pixels: Larger images are refused.
        target: An existing file.
        offset: Where in it the first sample begins, in bytes.
        jpeg: Quality at which each sample is encoded and decoded again; 0 = it is not.
    """

    spec: StoreSpec
    max_pixels: int
    target: Path
    offset: int
    jpeg: int = 0

    def __call__(self, files: Sequence[SourceFile]) -> list[Outcome]:
        """Cut all samples of some files.

        Raises:
            OSError: If ``target`` cannot be written.
        """
        # Written, not mapped: a disk that fills up under a mapping kills the process without a word.
        with self.target.open("r+b") as target:
            return [self._attempt(file, target) for file in files]

    def _attempt(self, file: SourceFile, target: BinaryIO) -> Outcome:
        try:
            return self._cut(file, target)
        except UserError as error:
            return Outcome(fault=str(error), fatal=isinstance(error, BitDepthError | _Changed))

    def _cut(self, file: SourceFile, target: BinaryIO) -> Outcome:
        content, spec = _read(file), self.spec
        image = decode_for_cut(
            Encoded(file.path, content),
            channels=spec.channels,
            bit_depth=spec.bit_depth,
            max_pixels=self.max_pixels,
        )
        width, height = size_of(image)
        for row, crop in zip(file.rows, file.crops, strict=True):
            if crop and (fault := outside(crop, width, height)):
                raise UserError(f"{file.path}: row {row + 1} {fault}")
            target.seek(self.offset + row * spec.sample_bytes)
            sample = cut_sample(image, crop, spec.own, spec.ring, self.jpeg)
            target.write(np.ascontiguousarray(sample).data)
        return Outcome(hashlib.sha256(content).digest()[:HASH_BYTES], width, height)


def _read(file: SourceFile) -> bytes:
    """The file's contents, as of the state that the store will claim."""
    try:
        with open(file.path, "rb", buffering=0) as opened:
            before = os.fstat(opened.fileno())
            content = opened.read(before.st_size)
            content += opened.read() if len(content) < before.st_size else b""  # of more than 2 GB
            after = os.fstat(opened.fileno())
    except (OSError, ValueError) as error:
        probe(Path(file.path))  # says why, in its own words
        raise UserError(f"{file.path}: cannot be read ({error})") from None
    if any((found.st_size, found.st_mtime_ns) != file.state for found in (before, after)):
        raise _Changed(f"{file.path}: changed while it was being packed; repeat the command when it is at rest")
    return content


def serve(asked: TextIO, answers: TextIO) -> None:
    """Cut what ``asked`` names until it ends, which it also does when the process that asks is killed.

    Lines of JSON: first the fields of a :class:`Cutter`, then lists of :class:`SourceFile`, each answered by a list
    of :class:`Outcome` (hashes in hexadecimal) or by the number and text of the error that kept it from writing.
    """
    settings = json.loads(asked.readline())
    settings |= {"spec": StoreSpec(**settings["spec"]), "target": Path(settings["target"])}
    cutter = Cutter(**settings)
    for line in asked:
        files = [
            SourceFile(path, (state[0], state[1]), rows, [tuple(crop) if crop else None for crop in crops])
            for path, state, rows, crops in json.loads(line)
        ]
        answer: object
        try:
            answer = [(found.hash.hex(), *found[1:]) for found in cutter(files)]
        except OSError as error:
            answer = {"error": [error.errno, error.strerror]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the asking process' affair
    serve(sys.stdin, sys.stdout)
