"""Packed samples in grey, without their surroundings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.audit.likeness import HASHED, THUMBNAIL, hash_bits, reduced
from ssl_pcb.data.manifest import parse_boxes
from ssl_pcb.data.samples import Samples
from ssl_pcb.imaging.resize import place

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Red, green and blue in ITU-R 601 luma."""

FLAT = 5.0
"""Grey levels of standard deviation below which a picture shows nothing that could be recognised."""

_AT_ONCE = 256


@dataclass(frozen=True)
class Greys:
    """What packed samples look like in brief.

    Attributes:
        thumbnails: (N, 16, 16).
        bits: (8, N, 32) hashes under each symmetry.
        contrast: (N,) standard deviation in grey levels.
        digests: Hash of each one's packed pixels.
    """

    thumbnails: NDArray[np.float32]
    bits: NDArray[np.uint8]
    contrast: NDArray[np.float32]
    digests: list[bytes]

    @property
    def flat(self) -> NDArray[np.bool_]:
        """(N,) which ones show nothing that could be recognised."""
        return self.contrast < FLAT

    @classmethod
    def of(cls, samples: Samples) -> Greys:
        """Read all packed samples once."""
        rows, thumbnails, bits, contrast = samples.store.rows, [], [], []
        digests: list[bytes] = []
        for start in range(0, len(rows), _AT_ONCE):
            pixels = _inside(samples, samples.store.pixels[rows[start : start + _AT_ONCE]])
            digests += [hashlib.blake2b(sample.tobytes(), digest_size=16).digest() for sample in pixels]
            greys = _grey(pixels)
            thumbnails.append(reduced(greys, THUMBNAIL))
            bits.append(hash_bits(reduced(greys, HASHED)))
            contrast.append(greys.std((1, 2)))
        return cls(np.concatenate(thumbnails), np.concatenate(bits, axis=1), np.concatenate(contrast), digests)


def packed_picture(samples: Samples, row: int) -> NDArray[np.uint8]:
    """The sample at manifest ``row`` (H, W, C), as packed but without the mirror image that makes it square."""
    # Not manifest.sample: it parses the whole row, and pairs are many.
    crop = parse_boxes(samples.manifest.frame["crop"].array[row])
    width, height = (crop[0][2] - crop[0][0], crop[0][3] - crop[0][1]) if crop else samples.store.sizes[row]
    placed = place(int(height), int(width), samples.store.spec.own)
    square = _inside(samples, samples.store.pixels[row])
    return square[placed.top : placed.top + placed.height, placed.left : placed.left + placed.width]


def grey_picture(samples: Samples, row: int) -> NDArray[np.float32]:
    """The same in grey (H, W)."""
    return _grey(packed_picture(samples, row))


def _inside(samples: Samples, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stored pixels (..., H, H, C) without their ring, (..., S, S, C)."""
    ring, own = samples.store.spec.ring, samples.store.spec.own
    inside = slice(ring, ring + own)
    return np.asarray(stored[..., inside, inside, :])


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.float32)
    return np.asarray(pixels @ LUMA, np.float32)
