"""Why a classifier is worse on new boards than in training: four causes, each by a measurement of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.evaluation.bootstrap import CHUNK_VALUES, choose_clusters, draw_cluster_counts, weighted_ranking

SUREST = 0.2
"""Share of samples, those of the most certain probabilities, whose errors tell of labels."""

COPIES = 0.01
"""Share of judged images with a copy in training from which on figures are not to be believed."""


@dataclass(frozen=True)
class Part:
    """Judged samples of one split.

    Attributes:
        scores: (N,).
        labels: (N,) in {0, 1}.
        groups: (N,) boards.
        images: (N,) source images.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: Sequence[str]
    images: Sequence[str]


@dataclass(frozen=True)
class Gap:
    """By how much AUROC falls from one set of samples to another.

    Attributes:
        value: AUROC of the first less that of the second.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SureErrors:
    """Errors where the classifier is surest.

    Attributes:
        samples: How many of the surest samples were looked at.
        errors: How many of them are labelled otherwise.
        expected: How many their own probabilities expect.
        p_value: How often so many would come by chance.
        fall: By how much AUROC falls if as many labels are wrong everywhere as are here beyond the expected.
    """

    samples: int
    errors: int
    expected: float
    p_value: float
    fall: float


def auroc_gap(first: Part, second: Part, *, resamples: int = 1000, seed: int = 0) -> Gap:
    """The fall in AUROC between two sets of other images, each resampled by boards or images of its own.

    Raises:
        UserError: On NaN scores, or one class only.
    """
    values, draws = zip(*(_resampled(part, resamples, seed + i) for i, part in enumerate((first, second))), strict=True)
    falls = draws[0] - draws[1]
    low, high = np.quantile(falls[~np.isnan(falls)], (0.025, 0.975))
    return Gap(values[0] - values[1], float(low), float(high))


def sure_errors(probabilities: ArrayLike, labels: ArrayLike) -> SureErrors:
    """Errors among the samples of the most certain probabilities.

    A classifier that is wrong for want of skill is wrong where it is unsure. Labels that are wrong at random are so
    everywhere, and where it is surest more often than its calibrated probabilities expect.

    Args:
        probabilities: (N,) of Defective, by a calibration that has no floor (Platt) and was fitted on other samples.
        labels: (N,) in {0, 1}.
    """
    values, classes = checked_pair(probabilities, labels)
    count = max(1, round(SUREST * len(values)))
    surest = np.argsort(-np.abs(values - 0.5), kind="stable")[:count]
    own = np.where(values >= 0.5, values, 1 - values)[surest]
    errors = int(((values >= 0.5) != (classes == 1))[surest].sum())
    expected = float((1 - own).sum())
    chance = binomtest(errors, count, min(max(expected / count, 1e-12), 1.0), alternative="greater").pvalue
    return SureErrors(
        count, errors, expected, float(chance), _fall_by(max(0.0, errors - expected) / count, values, classes)
    )


def _fall_by(wrong: float, values: NDArray[np.float64], classes: NDArray[np.int64]) -> float:
    """The fall in AUROC by a share ``wrong`` of labels that are turned over at random.

    Each labelled class is then a mixture of both, and AUROC an average of the true one and of one half (Menon et al.,
    ICML 2015, Learning from Corrupted Binary Labels via Class-Probability Estimation).
    """
    labelled = float(classes.mean())
    if not 0 < labelled < 1 or not 0 < wrong < 0.5:
        return 0.0
    true = min(max((labelled - wrong) / (1 - 2 * wrong), 0.0), 1.0)
    mixed = wrong * (1 - true) / labelled + wrong * true / (1 - labelled)
    observed = float(roc_auc_score(classes, values))
    return max(0.0, min(1.0, (observed - mixed / 2) / (1 - mixed)) - observed) if mixed < 1 else 1 - observed


def likeliest_causes(
    overfitting: Gap | None, shift: Gap | None, sure: SureErrors, copies: float
) -> Iterator[tuple[str, float]]:
    """Causes that their measurements speak for, with the fall in AUROC that is theirs, which puts them in order.

    Leakage comes first whatever the falls are, and with the share of copies: it makes figures look good, these too.

    Args:
        overfitting: Fall from training samples to other images of the same boards; ``None`` = there are none.
        shift: Fall from those to other boards, or from training itself where there are none.
        sure: Errors where the classifier is surest.
        copies: Share of judged images that have a copy in training.
    """
    if copies >= COPIES:
        yield "leakage", copies
    noise = sure.fall if sure.p_value < 0.01 and sure.errors > 2 * sure.expected else 0.0
    # Wrong labels of the judged boards are in the fall to them, which is board shift for the rest.
    falls = {"overfitting": (overfitting, 0.0), "board shift": (shift, noise)}
    weighty = [(name, gap.value - less) for name, (gap, less) in falls.items() if gap is not None and gap.low > less]
    yield from sorted([*weighty, *([("label noise", noise)] if noise else [])], key=lambda each: -each[1])


def _resampled(part: Part, resamples: int, seed: int) -> tuple[float, NDArray[np.float64]]:
    scores, labels = checked_pair(part.scores, part.labels, both_classes=True)
    _, cluster_of = choose_clusters(part.groups, part.images)
    counts = draw_cluster_counts(int(cluster_of.max()) + 1, resamples, seed)
    whole = weighted_ranking(scores, labels, np.ones((1, len(scores))))["auroc"]
    step = max(1, CHUNK_VALUES // len(scores))
    drawn = [
        weighted_ranking(scores, labels, counts[start : start + step, cluster_of])["auroc"]
        for start in range(0, resamples, step)
    ]
    return float(whole[0]), np.concatenate(drawn)
