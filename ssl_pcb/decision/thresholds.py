"""Turning scores into verdicts: thresholds that lie midway between scores, so that rounding flips nothing."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.decision.checks import checked_pair, checked_scores
from ssl_pcb.errors import UserError

Objective = Literal["balanced_accuracy", "f1"]


def candidate_thresholds(scores: ArrayLike) -> NDArray[np.float64]:
    """All thresholds that give different verdicts on ``scores``, ascending.

    Midway between neighbouring distinct scores, and one finite end below and above all of them.

    Args:
        scores: (N,) finite.

    Returns:
        (D + 1,) for D distinct scores; the first calls everything Defective, the last nothing.

    Raises:
        UserError: If there are no scores or one is NaN or infinite.
    """
    distinct = np.unique(checked_scores(scores))
    middles = distinct[:-1] / 2 + distinct[1:] / 2
    # Between adjacent floats the middle rounds onto one of them; the upper one still tells them apart.
    middles = np.where(middles > distinct[:-1], middles, distinct[1:])
    below, above = distinct[0] - _margin(distinct[0]), distinct[-1] + _margin(distinct[-1])
    return np.concatenate([[below], middles, [above]])


def choose_threshold(scores: ArrayLike, labels: ArrayLike, objective: Objective) -> float:
    """The candidate threshold with the best ``objective``.

    Of equally good thresholds the lowest is taken: it calls more samples Defective, so fewer defects escape.

    Args:
        scores: (N,), higher = more likely Defective.
        labels: (N,) in {0, 1}, 1 = Defective.
        objective: ``balanced_accuracy`` (mean of both classes' recalls) or ``f1`` (of Defective).

    Raises:
        UserError: On NaN scores or one class only.
    """
    values, classes = checked_pair(scores, labels, both_classes=True)
    thresholds = candidate_thresholds(values)
    positives = np.sort(values[classes == 1])
    negatives = np.sort(values[classes == 0])
    missed = np.searchsorted(positives, thresholds, side="left")
    passed = np.searchsorted(negatives, thresholds, side="left")
    found, false_calls = len(positives) - missed, len(negatives) - passed
    if objective == "balanced_accuracy":
        # Whole numbers, so that equal is equal: the mean of the recalls times 2 * positives * negatives.
        quality = found * len(negatives) + passed * len(positives)
    else:
        quality = 2 * found / (len(positives) + found + false_calls).clip(1)
    return float(thresholds[np.argmax(quality)])


def decide(scores: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Verdicts (N,): true = Defective, where ``score >= threshold``.

    Raises:
        UserError: On NaN scores or a NaN threshold: there is no verdict then.
    """
    if not np.isfinite(threshold):
        raise UserError(f"threshold: {threshold} is not a finite number")
    # In float64, because numpy would round the threshold to float32 beside float32 scores.
    return checked_scores(scores) >= np.float64(threshold)


def _margin(score: float) -> float:
    return max(1.0, abs(score) * 1e-3)
