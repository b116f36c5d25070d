"""The files behind a manifest as they are now, and what tells one packed store from another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.data.manifest import Manifest

ABSENT = -1
"""Size and time of a file that is not there."""

_AT_ONCE = 4096


@dataclass(frozen=True)
class Sources:
    """The F distinct image files of a manifest of N rows.

    Attributes:
        root: Folder that relative paths start from.
        paths: (F,) paths as the manifest has them, in the order of their first rows.
        files: (N,) file of each row.
        crops: (N,) crop of each row, as text.
        states: (F, 2) int64: bytes and modification time in ns, :data:`ABSENT` where there is no file.
    """

    root: Path
    paths: pd.Series[str]
    files: NDArray[np.intp]
    crops: pd.Series[str]
    states: NDArray[np.int64]

    @classmethod
    def of(cls, manifest: Manifest) -> Sources:
        """Look at all files of ``manifest``, without opening any."""
        files, paths = pd.factorize(manifest.frame["path"])
        states = np.fromiter(
            (value for path in paths for value in _state(os.path.join(manifest.root, path))), np.int64, 2 * len(paths)
        )
        return cls(manifest.root, pd.Series(paths), files, manifest.frame["crop"], states.reshape(-1, 2))

    def identity(self, transform: Sequence[object]) -> str:
        """Name of what is to be packed: these samples under ``transform``, whatever the files hold.

        Manifests that name the same files from other folders, as those of cross-validation's folds do, share it.
        """
        digest = hashlib.sha256(json.dumps([*transform]).encode())
        digest.update(self.files.astype("<i8").tobytes())
        root = os.path.abspath(self.root)
        places = (os.path.normpath(os.path.join(root, path)) for path in self.paths)
        for texts in (places, self.crops):
            # A path holds no zero byte and a crop is checked text, so no two lists read the same.
            for some in _chunks(texts):
                digest.update("".join(f"{text}\0" for text in some).encode("utf-8", "surrogatepass"))
            digest.update(b"\0")
        return digest.hexdigest()[:24]

    def fingerprint(self) -> str:
        """Digest of every file's size and time."""
        return hashlib.sha256(self.states.astype("<i8").tobytes()).hexdigest()[:16]

    def absolute(self, file: int) -> str:
        """Where a file lies."""
        return os.path.join(self.root, self.paths.iloc[file])

    def absent(self) -> NDArray[np.intp]:
        """Files that are not there."""
        return np.flatnonzero(self.states[:, 1] == ABSENT)

    def rows(self) -> list[NDArray[np.intp]]:
        """The rows of each file."""
        order = np.argsort(self.files, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.files, minlength=len(self.paths)))[:-1])


def describe_changes(sources: Sources, then: NDArray[np.int64]) -> str:
    """Say in half a sentence how the files differ from ``then``, the states (F, 2) when they were packed."""
    now = sources.states
    absent = (now[:, 1] == ABSENT) & (then[:, 1] != ABSENT)
    changed = (now != then).any(1) & ~absent
    counts = [f"{mask.sum():,} {word}" for mask, word in ((changed, "changed"), (absent, "vanished")) if mask.any()]
    first = sources.absolute(int(np.argmax(absent | changed)))
    return f"of {len(now):,} source files {' and '.join(counts)} since they were packed, first {first}"


def _state(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # the latter of a zero byte in the path
        return ABSENT, ABSENT
    return found.st_size, found.st_mtime_ns


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    left = iter(texts)
    while some := list(islice(left, _AT_ONCE)):
        yield some
