"""Intervals that respect that tiles of one image, and images of one board, are not independent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.data.manifest import PSEUDO_GROUP
from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.decision.thresholds import decide
from ssl_pcb.evaluation.metrics import AT_ESCAPE, Rates, confusion_rates

Floats = NDArray[np.float64]
Unit = Literal["board", "source image"]

MIN_CLUSTERS = 20
"""Resampling fewer boards than this, or fewer source images, gives intervals that are too narrow to be trusted."""

CHUNK_VALUES = 1_000_000  # weights held at a time; all resamples at once would be gigabytes


@dataclass(frozen=True)
class BootstrapResult:
    """Percentile intervals by metric name.

    Attributes:
        unit: What was resampled.
        clusters: How many of them there are.
        of_class: How many of them hold a NonDefective sample, and how many a Defective one.
        level: Coverage aimed at.
        resamples: Resamples used.
        skipped: Resamples left out because they lost a class that the data have.
        low: Lower ends; a metric undefined in every resample is missing.
        high: Upper ends.
        reason: Why there are no intervals at all, or empty.
    """

    unit: Unit
    clusters: int
    of_class: tuple[int, int]
    level: float
    resamples: int
    skipped: int
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def real_boards(groups: Sequence[str]) -> bool:
    """Whether every sample has a board: no empty name, and no ``~`` stand-in."""
    return not any(name == "" or name.startswith(PSEUDO_GROUP) for name in set(groups))


def choose_clusters(groups: Sequence[str], images: Sequence[str]) -> tuple[Unit, NDArray[np.intp]]:
    """What to resample, and each sample's cluster number (N,).

    Boards where every sample has a real one and there are at least :data:`MIN_CLUSTERS`; otherwise source images.
    """
    names, board_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if real_boards(groups) and len(names) >= MIN_CLUSTERS:
        return "board", board_of
    return "source image", np.unique(np.asarray(images, dtype=str), return_inverse=True)[1]


def draw_cluster_counts(clusters: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each cluster is drawn in each resample: (resamples, clusters), rows sum to ``clusters``."""
    return np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)


def weighted_ranking(scores: Floats, labels: NDArray[np.int64], weights: ArrayLike) -> Rates:
    """AUROC, average precision and false-call rates at fixed escape, under many sets of sample weights at once.

    Ties are exact: a tied pair counts one half in the AUROC, and average precision steps over distinct
    scores, as scikit-learn's does.

    Args:
        scores: (N,).
        labels: (N,) in {0, 1}.
        weights: (R, N), not negative.

    Returns:
        Name to (R,); NaN where a class (for average precision: Defective) has no weight.
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))  # of the runs of equal scores
    sorted_weights = np.asarray(weights, dtype=np.float64)[:, order]
    total = np.add.reduceat(sorted_weights, starts, axis=1)
    positive = np.add.reduceat(sorted_weights * labels[order], starts, axis=1)
    cumulated, cumulated_positive = np.cumsum(total, axis=1), np.cumsum(positive, axis=1)
    all_positive, all_weight = cumulated_positive[:, -1], cumulated[:, -1]
    negative = total - positive
    beaten = np.einsum("rg,rg->r", negative, cumulated_positive - positive / 2)
    precision = np.divide(cumulated_positive, cumulated, out=np.zeros_like(total), where=cumulated > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = beaten / (all_positive * (all_weight - all_positive))
        average_precision = np.einsum("rg,rg->r", positive, precision) / all_positive
        missed = 1 - cumulated_positive / all_positive[:, None]
        false_calls = (cumulated - cumulated_positive) / (all_weight - all_positive)[:, None]
    rates = {"auroc": auroc, "average_precision": average_precision}
    for name, escape in AT_ESCAPE.items():
        first = np.argmax(missed <= escape + 1e-9, axis=1)
        rates[name] = np.where(np.isnan(auroc), np.nan, false_calls[np.arange(len(first)), first])
    return rates


def resampled_metrics(
    scores: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    cluster_of: NDArray[np.intp],
    counts: NDArray[np.int64],
) -> Rates:
    """Every metric in every resample: name -> (R,), NaN where undefined.

    Args:
        scores: (N,).
        labels: (N,) in {0, 1}.
        threshold: ``score >= threshold`` is Defective.
        cluster_of: (N,) cluster number of each sample.
        counts: (R, clusters), see :func:`draw_cluster_counts`.
    """
    values, classes = checked_pair(scores, labels)
    cell = 2 * classes + decide(values, threshold)  # tn, fp, fn, tp
    per_cluster = np.zeros((counts.shape[1], 4), dtype=np.int64)
    np.add.at(per_cluster, (cluster_of, cell), 1)
    rates = confusion_rates(*(counts @ per_cluster).T)
    step = max(1, CHUNK_VALUES // len(values))
    ranked = [
        weighted_ranking(values, classes, counts[first : first + step, cluster_of])
        for first in range(0, len(counts), step)
    ]
    return rates | {name: np.concatenate([part[name] for part in ranked]) for name in ranked[0]}


def bootstrap_intervals(
    scores: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    groups: Sequence[str],
    images: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> BootstrapResult:
    """Cluster bootstrap percentile intervals of every metric at a fixed threshold.

    Whole boards or source images (see :func:`choose_clusters`) are drawn with replacement. Resamples that
    lose a class which the data have are skipped and counted. A rate that is 0 in the data gets the interval
    0 to 0: no resample can show a defect that was never missed.

    Args:
        scores: (N,).
        labels: (N,) in {0, 1}.
        threshold: ``score >= threshold`` is Defective.
        groups: (N,) board names.
        images: (N,) source image of each sample.
        resamples: Number of draws.
        seed: Seed of the draws.
        level: Coverage, in (0, 1).

    Raises:
        UserError: On NaN scores or unlabelled samples.
    """
    _, classes = checked_pair(scores, labels)
    unit, cluster_of = choose_clusters(groups, images)
    clusters = int(cluster_of.max()) + 1
    of_class = (len(np.unique(cluster_of[classes == 0])), len(np.unique(cluster_of[classes == 1])))
    if clusters < 2:
        return BootstrapResult(
            unit, clusters, of_class, level, 0, 0, reason=f"one {unit} only: there is nothing to resample"
        )
    counts = draw_cluster_counts(clusters, resamples, seed)
    values = resampled_metrics(scores, classes, threshold, cluster_of, counts)
    lost = (values["prevalence"] == 0) & classes.any() | (values["prevalence"] == 1) & (not classes.all())
    kept = {name: value[~lost & ~np.isnan(value)] for name, value in values.items()}
    edges = (0.5 - level / 2, 0.5 + level / 2)
    ends = {name: np.quantile(value, edges) for name, value in kept.items() if len(value)}
    return BootstrapResult(
        unit,
        clusters,
        of_class,
        level,
        int((~lost).sum()),
        int(lost.sum()),
        low={name: float(end[0]) for name, end in ends.items()},
        high={name: float(end[1]) for name, end in ends.items()},
        reason="" if ends else "every resample lost a class",
    )
