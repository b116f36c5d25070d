"""Which samples to label next: uncertain ones, spread over the feature space."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.vectors import unit_rows

CANDIDATES = 10
"""Most uncertain samples that are looked at, for each that is chosen; the factor beta of the paper."""

LEAST = 1e-6
"""Weight of a sample that the network is sure of: without any, a cluster of such would have no centre."""


@dataclass(frozen=True)
class Choice:
    """Samples to label.

    Attributes:
        positions: (n,) the most useful first.
        stands_for: (n,) how many candidates lie in the cluster of each.
    """

    positions: NDArray[np.int64]
    stands_for: NDArray[np.int64]


def choose_next(features: ArrayLike, count: int, seed: int, uncertainty: NDArray[np.float64] | None = None) -> Choice:
    """The samples nearest to the centres of as many clusters as are to be labelled.

    Diverse mini-batch active learning (Zhdanov 2019, https://arxiv.org/abs/1901.05954): of the most uncertain samples,
    ten times as many as wanted, k-means weighted by the uncertainty makes clusters. Without a classifier all samples
    are candidates and weigh the same.

    Args:
        features: (N, D).
        count: Samples to choose.
        seed: Seed of k-means.
        uncertainty: (N,) at least 0; ``None`` = not known.

    Returns:
        The choice: by falling uncertainty, or without it by falling size of the clusters.

    Raises:
        UserError: On NaN features, or more samples wanted than there are.
    """
    rows = unit_rows(features)
    if count > len(rows):
        raise UserError(f"-n {count}: there are only {len(rows)} unlabelled samples to choose from; choose fewer")
    pool = np.arange(len(rows))
    weights = np.ones(len(rows))
    if uncertainty is not None:
        pool = np.argsort(-uncertainty, kind="stable")[: CANDIDATES * count]
        weights = np.maximum(uncertainty, LEAST)
    clusters, distances = _clusters(rows[pool], weights[pool], count, seed)
    order = np.lexsort((distances, clusters))
    nearest = order[np.unique(clusters[order], return_index=True)[1]]
    # Equal features make fewer clusters than asked for; the first of the rest fill the gap.
    rest = np.setdiff1d(np.arange(len(pool)), nearest)[: count - len(nearest)]
    chosen = np.concatenate([nearest, rest])
    sizes = np.bincount(clusters, minlength=count)[clusters[chosen]]
    ranked = np.argsort(-(sizes if uncertainty is None else uncertainty[pool[chosen]]), kind="stable")
    return Choice(pool[chosen][ranked], sizes[ranked])


def _clusters(
    rows: NDArray[np.float32], weights: NDArray[np.float64], count: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each sample's cluster (N,), and how far it is from the centre (N,)."""
    with warnings.catch_warnings():  # of equal samples, which are dealt with
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = KMeans(count, n_init=1, random_state=seed).fit(rows, sample_weight=weights)
    clusters = np.asarray(means.labels_, np.int64)
    return clusters, np.linalg.norm(rows - means.cluster_centers_[clusters], axis=1)
