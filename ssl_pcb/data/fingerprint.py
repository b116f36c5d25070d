"""A hash that says whether two manifests hold the same samples, wherever their files lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def fingerprint(
    hashes: NDArray[Any],
    contents: Callable[[NDArray[np.intp]], Iterable[Sequence[str]]],
    columns: pd.DataFrame,
) -> str:
    """Hash of all samples' lines, sorted.

    Args:
        hashes: (N,) content hash of each sample's source file, as bytes or as text.
        contents: Content hashes in text, of the samples at some positions; the first is that of ``hashes``.
        columns: (N, K) what else makes a sample what it is, as text.

    Returns:
        24 hexadecimal digits.
    """
    order = np.argsort(hashes, kind="stable")
    digest = hashlib.sha256()
    for start, run in _runs(hashes[order]):
        some = order[run]
        facts = zip(contents(some), columns.iloc[some].to_numpy(), strict=True)
        lines = sorted("\t".join([*content, *row]) for content, row in facts)
        digest.update((start + "\n".join(lines)).encode())
    return digest.hexdigest()[:24]


def _runs(hashes: NDArray[Any], at_once: int = 4096) -> Iterator[tuple[str, slice]]:
    """Slices of sorted ``hashes`` that part no equal ones, and what joins each to the one before.

    All lines of a large set at once would take more memory than a training step.
    """
    start = 0
    while start < len(hashes):
        last = hashes[min(start + at_once, len(hashes)) - 1]
        stop = int(np.searchsorted(hashes, last, "right"))
        yield "\n" if start else "", slice(start, stop)
        start = stop
