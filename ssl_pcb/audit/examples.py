"""Samples that show what a cue goes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.audit.pair_sheet import Pair
from ssl_pcb.audit.shortcuts import CueResult
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.evaluation.floors import cropped
from ssl_pcb.imaging.decode import decode
from ssl_pcb.imaging.orientation import Image8

PAIRS = 6

WORDS = 16
"""Letters of a value that find room below a picture."""


def telling_rows(result: CueResult, manifest: Manifest, pairs: int = PAIRS) -> list[tuple[int, int]]:
    """Pairs of a Defective and a NonDefective row that the cue ranks rightly and most surely, each of another image."""
    defective = manifest.frame["label"].eq(LABELS[1]).to_numpy()
    order = np.argsort(-result.scores, kind="stable")
    return list(zip(
        _of_other_images(order[defective[order]], manifest, pairs),
        _of_other_images(order[::-1][~defective[order[::-1]]], manifest, pairs),
        strict=False,
    ))  # fmt: skip


def example_pairs(
    rows: Sequence[tuple[int, int]], result: CueResult, manifest: Manifest, data: DataConfig
) -> list[Pair]:
    """The pictures of pairs of ``rows``, with what the cue knows of each.

    Raises:
        UserError: If an image cannot be read.
    """
    pairs = []
    for both in rows:
        first, second = (_picture(manifest, row, data) for row in both)
        notes = [[*_values(result.cue.values.iloc[row]), manifest.frame["path"].iloc[row]] for row in both]
        pairs.append(Pair((first, second), (notes[0], notes[1])))
    return pairs


def _of_other_images(rows: NDArray[np.intp], manifest: Manifest, count: int) -> list[int]:
    return [int(row) for row in manifest.frame["path"].iloc[rows].drop_duplicates().index[:count]]


def _picture(manifest: Manifest, row: int, data: DataConfig) -> Image8:
    sample = manifest.sample(row)
    channels, depth = int(data.channels), int(data.bit_depth)
    image = decode(sample.path, channels=channels, bit_depth=depth, max_pixels=data.max_pixels)
    return cropped(image, sample.crop)


def _values(values: pd.Series[Any]) -> list[str]:
    """What is known, a line a column; of many columns nothing."""
    if len(values) > 2:
        return []
    texts = (f"{value:.4g}" if isinstance(value, float | int) else str(value or "none") for value in values)
    return [f"{name}: {text[:WORDS]}" for name, text in zip(values.index, texts, strict=True)]
