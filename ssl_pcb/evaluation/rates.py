"""Escape and false-call rates at a fixed threshold, each with the worst that it may really be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.decision.bounds import LEVEL, upper_bound
from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.decision.thresholds import decide
from ssl_pcb.evaluation.bootstrap import choose_clusters, draw_cluster_counts


@dataclass(frozen=True)
class Rate:
    """A rate of errors among the samples of one class.

    Attributes:
        errors: How many were wrong.
        samples: Of how many.
        bound: One-sided 95 % Clopper-Pearson bound; it takes the samples for independent.
        cluster_bound: The 95th percentile over resampled boards or source images, which they need not be for;
            ``None`` where there is only one, and without an error, which no resample can show.
        over: What was resampled.
    """

    errors: int
    samples: int
    bound: float
    cluster_bound: float | None
    over: str

    @property
    def value(self) -> float:
        """Errors a sample; NaN without samples."""
        return self.errors / self.samples if self.samples else float("nan")

    @property
    def worst(self) -> float:
        """The larger of the two bounds: what can be promised."""
        return max(self.bound, self.cluster_bound or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        value = self.value if self.samples else None
        return {"value": value, "worst": self.worst, **asdict(self)}


def rates_at(
    scores: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    groups: Sequence[str],
    images: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Rate, Rate]:
    """The escape rate and the false-call rate where scores of at least ``threshold`` are Defective.

    Args:
        scores: (N,), higher = more likely Defective.
        labels: (N,) in {0, 1}.
        threshold: Fixed beforehand: bounds of rates that chose it themselves say less than they seem to.
        groups: (N,) board names.
        images: (N,) source image of each sample.
        resamples: Draws.
        seed: Of the draws.

    Raises:
        UserError: On NaN scores or unlabelled samples.
    """
    values, classes = checked_pair(scores, labels)
    called = decide(values, threshold)
    over, cluster_of = choose_clusters(groups, images)
    counts = draw_cluster_counts(int(cluster_of.max()) + 1, resamples, seed)
    wrong = {"escape": (classes == 1) & ~called, "false call": (classes == 0) & called}
    escape, false_call = (
        _rate(wrong[name], classes == label, cluster_of, counts, over)
        for name, label in (("escape", 1), ("false call", 0))
    )
    return escape, false_call


def _rate(
    wrong: NDArray[np.bool_], own: NDArray[np.bool_], cluster_of: NDArray[np.intp], counts: NDArray[np.int64], over: str
) -> Rate:
    errors, samples = int(wrong.sum()), int(own.sum())
    of_cluster = (np.bincount(cluster_of, each, counts.shape[1]) for each in (wrong, own))
    return Rate(errors, samples, upper_bound(errors, samples), _percentile(counts, *of_cluster), over)


def cluster_bound(errors: ArrayLike, samples: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> float | None:
    """The 95th percentile of a rate over resampled clusters, whose members need not err independently.

    ``None`` where only one cluster has samples, and without an error, which no resample can show.

    Args:
        errors: (K,) of each cluster.
        samples: (K,) of each cluster.
        resamples: Draws.
        seed: Of the draws.
    """
    return _percentile(draw_cluster_counts(len(np.asarray(samples)), resamples, seed), errors, samples)


def _percentile(counts: NDArray[np.int64], errors: ArrayLike, samples: ArrayLike) -> float | None:
    wrong, own = np.asarray(errors, np.float64), np.asarray(samples, np.float64)
    if not wrong.any() or (own > 0).sum() < 2:
        return None
    wrongs, owns = counts @ wrong, counts @ own
    return float(np.quantile(wrongs[owns > 0] / owns[owns > 0], LEVEL))


def by_name(
    scores: ArrayLike, labels: ArrayLike, names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Highest score, and whether any is Defective, of the samples of each name: image or board, in sorted order.

    Args:
        scores: (N,).
        labels: (N,) in {0, 1}.
        names: (N,).

    Returns:
        (M,) scores and (M,) labels of the M names.
    """
    values, classes = checked_pair(scores, labels)
    _, number = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    highest = np.full(number.max() + 1, -np.inf)
    any_defective = np.zeros(len(highest), np.int64)
    np.maximum.at(highest, number, values)
    np.maximum.at(any_defective, number, classes)
    return highest, any_defective
