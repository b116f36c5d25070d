"""Cosine nearest neighbours: what a representation knows without training anything on it."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.vectors import unit_rows

TEMPERATURE = 0.07
"""Of the neighbours' weights, as in Wu et al. 2018 (https://arxiv.org/abs/1805.01978) and DINO."""

EXACT_BELOW = 1_000_000
"""Rows of a bank above which searching all of them for every query takes too long."""
SEARCHED_LISTS, ROWS_PER_LIST = 64, 50
"""Lists of a larger bank that a query is compared with, and rows a list that the lists' centres are learned from."""


def knn_scores(
    train_features: ArrayLike, train_labels: ArrayLike, features: ArrayLike, ks: Sequence[int]
) -> dict[int, NDArray[np.float64]]:
    """The similarity-weighted share of Defective among each sample's k nearest training samples.

    A neighbour at cosine similarity s weighs exp(s / 0.07).

    Args:
        train_features: (M, D), the bank.
        train_labels: (M,) in {0, 1}.
        features: (N, D), the samples to score; must not be in the bank themselves.
        ks: Neighbour counts, at least 1.

    Returns:
        k -> scores (N,) in [0, 1]. The keys are the counts really used: a k above M becomes M, and several
        such become one entry.

    Raises:
        UserError: On NaN features, or an empty bank.
        ValueError: On labels other than 0 and 1, or a k below 1.
    """
    labels = np.asarray(train_labels)
    if not len(labels):
        raise UserError("kNN: the training split has no labelled samples to compare with")
    if not np.isin(labels, (0, 1)).all() or min(ks) < 1:
        raise ValueError("kNN takes labels 0 and 1 and neighbour counts of at least 1")
    used = sorted({min(k, len(labels)) for k in ks})
    similarities, neighbours = nearest(train_features, features, used[-1])
    weights = neighbour_weights(similarities)
    defective = weights * labels[neighbours]
    return {k: defective[:, :k].sum(axis=1) / weights[:, :k].sum(axis=1) for k in used}


def distance_to_nearest(bank: ArrayLike, queries: ArrayLike, k: int = 5) -> NDArray[np.float64]:
    """Mean cosine distance (N,) of each query to its k nearest of the bank: high for what is unlike all of it.

    After deep nearest neighbours (Bergman et al. 2020, arXiv 2002.10445).

    Args:
        bank: (M, D).
        queries: (N, D), none of them in the bank.
        k: Neighbours; of a smaller bank all.
    """
    similarities, _ = nearest(bank, queries, min(k, len(np.asarray(bank))))
    return np.asarray(1 - similarities.astype(np.float64).mean(1))


def neighbour_weights(similarities: NDArray[np.float32]) -> NDArray[np.float64]:
    """What each neighbour counts (N, k), the nearest 1, for cosine similarities (N, k), descending."""
    # The nearest neighbour's similarity cancels out of every share; taking it off keeps exp in range.
    return np.exp((similarities - similarities[:, :1]).astype(np.float64) / TEMPERATURE)


def nearest_elsewhere(
    features: ArrayLike, images: NDArray[np.int64], queries: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As :func:`nearest` among the samples themselves, but none of a query's own source image.

    Args:
        features: (N, D) of all samples.
        images: (N,) number of each sample's source image.
        queries: (Q,) positions of the samples that ask.
        k: Neighbours a query.

    Returns:
        Similarities (Q, k) and positions (Q, k); where fewer samples are of other images, -inf and -1.

    Raises:
        UserError: On NaN features.
    """
    count = len(images)
    reach = min(count, k + int(np.bincount(images).max()))
    similarities, found = nearest(features, np.asarray(features)[queries], reach)
    elsewhere = (images[found] != images[queries, None]) & (found >= 0)
    order = np.argsort(~elsewhere, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(elsewhere, order, 1)
    similarities = np.where(kept, np.take_along_axis(similarities, order, 1), np.float32(-np.inf))
    found = np.where(kept, np.take_along_axis(found, order, 1), -1)
    lacking = ((0, 0), (0, k - found.shape[1]))
    return np.pad(similarities, lacking, constant_values=-np.inf), np.pad(found, lacking, constant_values=-1)


def nearest(bank: ArrayLike, queries: ArrayLike, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cosine similarities (N, k), descending, and bank rows (N, k) of each query's k nearest.

    Exact for a bank of fewer than a million rows. Of a larger one the nearest lists of an inverted file are
    searched, which misses a few neighbours.

    Args:
        bank: (M, D) with M >= k.
        queries: (N, D).
        k: Neighbours a query.

    Raises:
        UserError: On NaN features.
    """
    similarities, neighbours = _index(unit_rows(bank)).search(unit_rows(queries), k)
    return similarities, neighbours


def nearest_bits(
    bank: NDArray[np.uint8], queries: NDArray[np.uint8], k: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Differing bits (N, k), ascending, and bank rows (N, k) of each query's k nearest; exact.

    Args:
        bank: (M, B) packed bits with M >= k.
        queries: (N, B).
        k: Neighbours a query.
    """
    index = _faiss().IndexBinaryFlat(8 * bank.shape[1])
    index.add(np.ascontiguousarray(bank))
    distances, neighbours = index.search(np.ascontiguousarray(queries), k)
    return distances, neighbours


def _index(rows: NDArray[np.float32]) -> Any:
    faiss, (count, dim) = _faiss(), rows.shape
    index = faiss.IndexFlatIP(dim)
    if count >= EXACT_BELOW:
        lists = round(4 * math.sqrt(count))  # what faiss advises
        index = faiss.IndexIVFFlat(index, dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = SEARCHED_LISTS
        index.train(rows[:: max(1, count // (ROWS_PER_LIST * lists))])
    index.add(rows)
    return index


def _faiss() -> Any:
    import faiss

    if sys.platform == "darwin":  # two OpenMP runtimes, faiss's and torch's, crash each other there
        faiss.omp_set_num_threads(1)
    return faiss
