"""Pictures of samples with their labels: suspects beside their neighbours, and what to label next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ssl_pcb.audit.drawing import Tile, draw_blocks
from ssl_pcb.augment.views import plain_view
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.samples import Samples

COLUMNS = 10


def suspects_sheet(
    samples: Samples, suspects: NDArray[np.int64], neighbours: Sequence[NDArray[np.int64]]
) -> Image.Image:
    """A row for each suspect: itself, then its nearest neighbours, in red those whose label is another.

    Args:
        samples: The data.
        suspects: (S,) manifest rows.
        neighbours: The neighbours' manifest rows, for each suspect, the nearest first.
    """
    labels = samples.labels
    beside = [
        [
            Tile(pixels, [], [], LABELS[labels[row]], faulty=labels[row] != labels[suspect])
            for row, pixels in zip(rows, _pixels(samples, rows), strict=True)
        ]
        for suspect, rows in zip(suspects, neighbours, strict=True)
    ]
    shown = zip(suspects, _pixels(samples, suspects), strict=True)
    own = [[Tile(pixels, [], [], LABELS[labels[row]])] for row, pixels in shown]
    return draw_blocks({"suspect": own, "nearest neighbours of other images": beside})


def samples_sheet(samples: Samples, rows: NDArray[np.int64], title: str) -> Image.Image:
    """Samples at manifest ``rows`` (N,), line by line, each with its row's number."""
    tiles = [Tile(pixels, [], [], str(row)) for row, pixels in zip(rows, _pixels(samples, rows), strict=True)]
    return draw_blocks({title: [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]})


def _pixels(samples: Samples, rows: NDArray[np.int64]) -> Tensor:
    """(N, C, S, S) in [0, 1]: what the labels are about, without golden images and surroundings."""
    stored = samples.without_references.pixels(rows).__getitems__(range(len(rows)))
    return plain_view(stored.inputs, samples.store.spec.own)
