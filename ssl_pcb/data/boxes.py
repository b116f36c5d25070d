"""Where the defects of samples lie, for training that must know what it covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.data.manifest import LABELS, Manifest, Sample
from ssl_pcb.imaging.resize import map_boxes
from ssl_pcb.imaging.tiling import ENOUGH, box_share

DEFECTIVE = LABELS.index("Defective")


def defect_boxes(
    manifest: Manifest, rows: NDArray[np.int64], sizes: NDArray[np.int32], size: int, context: int = 0
) -> NDArray[np.float32]:
    """Boxes of the defects that make samples Defective, as far as these show them.

    A sample of the other class has none, whatever boxes touch it; of a Defective one without boxes, all of it counts
    as its box. Where a crop cuts several boxes, those that it shows :data:`~ssl_pcb.imaging.tiling.ENOUGH` of count
    alone, if there are any.

    Args:
        manifest: The samples.
        rows: (B,) rows of it.
        sizes: (B, 2) width and height of their source images.
        size: Side of what the network sees of a sample, in pixels.
        context: Pixels of it on each side that surround the sample itself.

    Returns:
        (B, M, 4) ``x1 y1 x2 y2`` in shares of what the network sees, M at least 1; NaN where a sample has fewer than M.
    """
    samples = (manifest.sample(int(row)) for row in rows)
    found = [_shown(sample, (int(w), int(h)), size, context) for sample, (w, h) in zip(samples, sizes, strict=True)]
    boxes = np.full((len(rows), max(1, *map(len, found)), 4), np.nan, np.float32)
    for row, some in zip(boxes, found, strict=True):
        row[: len(some)] = some
    return boxes


def _shown(sample: Sample, source_size: tuple[int, int], size: int, context: int) -> NDArray[np.float64]:
    if sample.label != DEFECTIVE:
        return np.empty((0, 4))
    crop = sample.crop or (0, 0, *source_size)
    enough = [box for box in sample.boxes if box_share(box, crop) >= ENOUGH]
    shown = np.array(map_boxes(enough or sample.boxes, sample.crop, source_size, size, context)) / size
    return shown if len(shown) else np.array([(context, context, size - context, size - context)]) / size
