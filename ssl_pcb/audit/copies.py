"""Copies among the samples of a data set, and those that are equal to the last pixel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from ssl_pcb.audit.alignment import Fit, is_telling
from ssl_pcb.audit.stored_greys import Greys, grey_picture
from ssl_pcb.audit.symmetries import turned
from ssl_pcb.data.samples import Samples
from ssl_pcb.evaluation.floors import cropped
from ssl_pcb.imaging.decode import decode
from ssl_pcb.imaging.orientation import Image8

Kind = Literal["file", "pixels", "near"]
PERFECT = Fit(1.0, 0.0)


@dataclass(frozen=True)
class Copy:
    """Two samples that show the same shot.

    Attributes:
        first: Manifest row.
        second: Manifest row, the higher one.
        kind: ``file`` = equal files and crops; ``pixels`` = equal decoded pixels, perhaps turned; ``near`` = else.
        symmetry: What turns the first into the second.
        fit: How well they then fit.
    """

    first: int
    second: int
    kind: Kind
    symmetry: int
    fit: Fit


def exact_copies(samples: Samples, greys: Greys, max_pixels: int) -> list[Copy]:
    """Samples of equal packed pixels, each with the first of them; ``near`` where the files themselves differ a little.

    Plain pictures are equal by nature: such are copies only where their files are equal.

    Args:
        samples: The data.
        greys: Of them.
        max_pixels: Of files that are read again.

    Raises:
        UserError: If a file cannot be read again.
    """
    rows, crops = samples.store.rows, samples.column("crop", samples.store.rows)
    alike: dict[bytes, list[int]] = defaultdict(list)
    for position, digest in enumerate(greys.digests):
        alike[digest].append(position)

    def found() -> Iterator[Copy]:
        for kept, *others in alike.values():
            first = int(rows[kept])
            picture = grey_picture(samples, first) if others else None
            telling = picture is not None and is_telling(picture, picture, 0.0)
            for other in others:
                second = int(rows[other])
                hashes = samples.store.hashes[[first, second]]
                if hashes[0] == hashes[1] and crops[kept] == crops[other]:
                    yield Copy(first, second, "file", 0, PERFECT)
                elif telling:
                    yield Copy(first, second, exact_kind(samples, first, second, 0, max_pixels), 0, PERFECT)

    return list(found())


def exact_kind(samples: Samples, first: int, second: int, symmetry: int, max_pixels: int) -> Kind:
    """``pixels`` if the samples at two manifest rows are equal in their files' own resolution, else ``near``.

    Raises:
        UserError: If a file cannot be read again.
    """
    one, other = (np.moveaxis(_pixels(samples, row, max_pixels), 2, 0) for row in (first, second))
    return "pixels" if np.array_equal(turned(one, symmetry), other) else "near"


def _pixels(samples: Samples, row: int, max_pixels: int) -> Image8:
    spec, sample = samples.store.spec, samples.manifest.sample(row)
    return cropped(_decoded(sample.path, spec.channels, spec.bit_depth, max_pixels), sample.crop)


@lru_cache(maxsize=2)  # tiles of two panels follow each other
def _decoded(path: Path, channels: int, bit_depth: int, max_pixels: int) -> Image8:
    return decode(path, channels=channels, bit_depth=bit_depth, max_pixels=max_pixels)
