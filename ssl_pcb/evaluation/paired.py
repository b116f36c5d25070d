"""Whether one method is better than another on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def mean(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.mean([weighted_ranking(each, labels, weights)[metric] for each in scores], axis=0))

    def difference(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return mean(first, weights) - mean(second, weights)

    return resampled_difference(difference, groups, images, resamples, seed, level)


def paired_balanced_accuracy(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    labels: NDArray[np.int64],
    groups: Sequence[str],
    images: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """The same for what two methods call Defective (N,), by balanced accuracy."""
    classes = [labels == label for label in (0, 1)]
    gained = (first == labels).astype(np.float64) - (second == labels)

    def difference(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # a resample without a class has no balanced accuracy
            recalls = [weights[:, own] @ gained[own] / weights[:, own].sum(1) for own in classes]
        return np.asarray(np.mean(recalls, axis=0))

    return resampled_difference(difference, groups, images, resamples, seed, level)


def resampled_difference(
    difference: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    groups: Sequence[str],
    images: Sequence[str],
    resamples: int,
    seed: int,
    level: float,
) -> Difference:
    """A difference and its interval, from what it is under each row of sample weights (R, N).

    Args:
        difference: Sample weights (R, N) to differences (R,), NaN where a resample has none.
        groups: (N,) board names.
        images: (N,) source image of each sample.
        resamples: Draws.
        seed: Seed of the draws.
        level: Coverage.
    """
    over, cluster_of = choose_clusters(groups, images)
    counts = draw_cluster_counts(int(cluster_of.max()) + 1, resamples, seed)
    step = max(1, CHUNK_VALUES // len(cluster_of))
    values = np.concatenate(
        [difference(counts[start : start + step, cluster_of].astype(np.float64)) for start in range(0, resamples, step)]
    )
    defined = values[~np.isnan(values)]
    low, high = np.quantile(defined, (0.5 - level / 2, 0.5 + level / 2)) if len(defined) else (np.nan, np.nan)
    whole = difference(np.ones((1, len(cluster_of))))
    return Difference(float(whole[0]), float(low), float(high), over)
