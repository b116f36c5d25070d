"""Whether one method is better than another on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.evaluation.bootstrap import CHUNK_VALUES, choose_clusters, draw_cluster_counts, weighted_ranking

Ranking = Literal["auroc", "average_precision"]


@dataclass(frozen=True)
class Difference:
    """How much better, with the interval of a paired bootstrap.

    Attributes:
        value: The first's metric less the second's, each the mean over its seeds.
        low: Lower end.
        high: Upper end.
        over: What was resampled: boards or source images.
    """

    value: float
    low: float
    high: float
    over: str


def paired_difference(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: Sequence[str],
    images: Sequence[str],
    metric: Ranking,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Compare two methods on the same samples.

    Each resample draws boards or source images (:func:`~ssl_pcb.evaluation.bootstrap.choose_clusters`) once for both,
    so that what makes a picture hard for both cancels. The interval says what other pictures would change; what other
    seeds would change, it does not.

    Args:
        first: (S, N) scores, a row a seed.
        second: (T, N) scores of the other method.
        labels: (N,) in {0, 1}.
        groups: (N,) board names.
        images: (N,) source image of each sample.
        metric: What to compare.
        resamples: Draws.
        seed: Seed of the draws.
        level: Coverage.
    """
    over, cluster_of = choose_clusters(groups, images)
    counts = draw_cluster_counts(int(cluster_of.max()) + 1, resamples, seed)
    once = np.ones((1, len(labels)))

    def mean(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.mean([weighted_ranking(each, labels, weights)[metric] for each in scores], axis=0))

    step = max(1, CHUNK_VALUES // len(labels))
    drawn = []
    for start in range(0, resamples, step):
        weights = counts[start : start + step, cluster_of].astype(np.float64)
        drawn.append(mean(first, weights) - mean(second, weights))
    values = np.concatenate(drawn)
    low, high = np.quantile(values[~np.isnan(values)], (0.5 - level / 2, 0.5 + level / 2))
    return Difference(float((mean(first, once) - mean(second, once))[0]), float(low), float(high), over)
