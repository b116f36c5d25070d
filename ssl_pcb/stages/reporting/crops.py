"""Pictures of samples, cut from their files: a person sees more than the network's few pixels tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from ssl_pcb.data.samples import Samples
from ssl_pcb.imaging.decode import decode_for_cut
from ssl_pcb.imaging.orientation import Box, Image8
from ssl_pcb.imaging.resize import cut, map_boxes
from ssl_pcb.reports.page.pictures import picture, shrunk

MOST = 256
"""Most pixels of a picture's side."""

SIDES = ((MOST, MOST), (MOST, 160), (160, 96), (96, 64))
"""Of the samples that are told of at length, and of the others, by how little room there is."""


def pictures(samples: Samples, rows: Sequence[int], told: Collection[int], room: int) -> dict[int, str]:
    """Manifest rows to data URIs, each sample in a square as the network sees it: heat maps fit on it.

    Args:
        samples: All of the data.
        rows: Manifest rows to show.
        told: Those of them that keep their size longest.
        room: Characters for all; with more than that they are made smaller, as far as :data:`SIDES` goes.

    Raises:
        UserError: If a file cannot be read any more.
    """
    full = {row: picture(pixels, MOST) for row, pixels in _squares(samples, rows)}
    found = full
    for near, far in SIDES[1:]:
        if sum(map(len, found.values())) <= room:
            break
        found = {row: shrunk(uri, near if row in told else far) for row, uri in full.items()}
    return found


def boxes_of(samples: Samples, row: int) -> list[list[float]]:
    """The boxes of a sample, ``x y width height`` each, in shares of its picture's side."""
    sample, size = samples.manifest.sample(row), _side(samples, row)
    width, height = samples.store.sizes[row].tolist()
    shown = map_boxes(sample.boxes, sample.crop, (width, height), size) if sample.boxes else []
    return [[round(each / size, 4) for each in (x1, y1, x2 - x1, y2 - y1)] for x1, y1, x2, y2 in shown]


def _squares(samples: Samples, rows: Sequence[int]) -> Iterator[tuple[int, Image8]]:
    """Pixels (S, S, C) of each row, S at most :data:`MOST`; each file is read once."""
    last, image = Path(), None
    for row in sorted(rows, key=lambda row: str(samples.manifest.frame["path"].iloc[row])):
        sample = samples.manifest.sample(row)
        if image is None or sample.path != last:
            allowed = int(np.prod(samples.store.sizes[row], dtype=np.int64))
            last, image = sample.path, None  # two large panels need not fit into memory
            image = decode_for_cut(last, bit_depth=samples.store.spec.bit_depth, max_pixels=allowed)
        yield row, cut(image, sample.crop, _side(samples, row), 0)


def _side(samples: Samples, row: int) -> int:
    crop: Box | None = samples.manifest.sample(row).crop
    sides = samples.store.sizes[row].tolist() if crop is None else [crop[2] - crop[0], crop[3] - crop[1]]
    return max(1, min(MOST, round(max(sides))))
