"""Pairs of samples that may be copies: near in features, or in a perceptual hash, under some symmetry."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dctn
from torch.nn import functional

from ssl_pcb.audit.symmetries import SYMMETRIES, inverse, turned
from ssl_pcb.data.near_duplicates import HASH_SIDE, MAX_DISTANCE
from ssl_pcb.evaluation.neighbours import nearest, nearest_bits

THUMBNAIL = 16
"""Side of the pictures whose pixels are the features of a sample."""

MIN_COSINE = 0.85
"""Of features from which on a pair is compared pixel by pixel."""

HASHED = 4 * HASH_SIDE
"""Side of the pictures that are hashed, as imagehash has it."""

Pairs = NDArray[np.int64]
"""(P, 3): two samples, the first with the lower number, and the symmetry that turns the first into the second."""


def reduced(pictures: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Pictures (N, S, S) by means of areas, (N, side, side)."""
    found = functional.adaptive_avg_pool2d(torch.from_numpy(pictures)[:, None], side)[:, 0]
    return np.asarray(found.numpy())


def thumbnail_features(thumbnails: NDArray[np.float32], symmetry: int = 0) -> NDArray[np.float32]:
    """Pixels (N, D) of thumbnails under a symmetry, less their mean, so that cosine similarity is correlation."""
    rows = turned(thumbnails, symmetry).reshape(len(thumbnails), -1)
    return np.asarray(rows - rows.mean(1, keepdims=True))


def hash_bits(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Packed DCT hashes (8, N, 32) of pictures (N, 64, 64) under each symmetry, as ``imagehash.phash`` has them.

    Zauner 2010, "Implementation and benchmarking of perceptual image hash functions".
    """
    found = []
    for symmetry in range(len(SYMMETRIES)):
        low = dctn(turned(pictures, symmetry), axes=(1, 2))[:, :HASH_SIDE, :HASH_SIDE]
        bits = low > np.median(low, axis=(1, 2), keepdims=True)
        found.append(np.packbits(bits.reshape(len(pictures), -1), axis=1))
    return np.stack(found)


def near_in_pixels(thumbnails: NDArray[np.float32], k: int) -> Pairs:
    """Pairs whose thumbnails (N, 16, 16) correlate, each sample's ``k`` best under each symmetry."""
    bank, found = thumbnail_features(thumbnails), []
    for symmetry in range(len(SYMMETRIES)):
        similarities, neighbours = nearest(bank, thumbnail_features(thumbnails, symmetry), _reach(bank, k))
        found.append(_pairs(neighbours, similarities >= MIN_COSINE, symmetry))
    return merged(*found)


def near_in_hash(bits: NDArray[np.uint8], k: int) -> Pairs:
    """Pairs whose hashes (8, N, 32) differ in few bits, likewise."""
    found = []
    for symmetry in range(len(SYMMETRIES)):
        distances, neighbours = nearest_bits(bits[0], bits[symmetry], _reach(bits[0], k))
        found.append(_pairs(neighbours, distances <= MAX_DISTANCE, symmetry))
    return merged(*found)


def near_in_features(features: ArrayLike, thumbnails: NDArray[np.float32], k: int) -> Pairs:
    """Pairs that are near in a network's features (N, D), under the symmetry in which their thumbnails fit best."""
    rows = np.asarray(features, np.float32)
    similarities, neighbours = nearest(rows, rows, _reach(rows, k))
    first, second, _ = merged(_pairs(neighbours, similarities >= MIN_COSINE, 0)).T
    fits = [
        np.einsum("pd,pd->p", thumbnail_features(thumbnails[first], symmetry), thumbnail_features(thumbnails[second]))
        for symmetry in range(len(SYMMETRIES))
    ]
    return merged(np.stack([first, second, np.argmax(fits, axis=0)], axis=1))


def merged(*pairs: Pairs) -> Pairs:
    """All pairs, each once, in order."""
    found: Pairs = np.unique(np.concatenate(pairs), axis=0)
    return found


def _reach(bank: NDArray[np.generic], k: int) -> int:
    return min(k + 1, len(bank))  # each finds itself too


def _pairs(neighbours: NDArray[np.int64], near: NDArray[np.bool_], symmetry: int) -> Pairs:
    asking, place = np.nonzero(near)
    found = neighbours[asking, place]
    pairs: Pairs = np.stack([asking, found, np.full(len(found), symmetry)], axis=1)[asking != found].astype(np.int64)
    backward = pairs[:, 0] > pairs[:, 1]
    pairs[backward] = np.stack([pairs[backward, 1], pairs[backward, 0], inverse(pairs[backward, 2])], axis=1)
    return pairs
