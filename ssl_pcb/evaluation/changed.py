"""What becomes of a classifier's rates when its pictures change and its threshold does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.decision.thresholds import decide
from ssl_pcb.evaluation.bootstrap import choose_clusters
from ssl_pcb.evaluation.paired import Difference, paired_difference, resampled_difference


def changes_of_rates(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    labels: NDArray[np.int64],
    threshold: float,
    groups: Sequence[str],
    images: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Difference]:
    """Rise of escape rate, false-call rate and AUROC, with the intervals of a paired cluster bootstrap.

    Each resample draws the same boards or source images before and after. A rate that no sample changes gets the
    interval 0 to 0; where all samples are of one source image, ends are NaN.

    Args:
        before: (N,) scores of the pictures as they are.
        after: (N,) scores of the same samples' changed pictures.
        labels: (N,) in {0, 1}, both of them.
        threshold: ``score >= threshold`` is Defective, before and after.
        groups: (N,) board names.
        images: (N,) source image of each sample.
        resamples: Draws.
        seed: Seed of the draws.
        level: Coverage.

    Returns:
        By ``escape_rate``, ``false_call_rate`` and ``auroc``: after less before.

    Raises:
        UserError: On NaN scores, or one class only.
    """
    _, classes = checked_pair(before, labels, both_classes=True)
    wrong = [decide(scores, threshold) != classes for scores in (before, after)]
    gained = wrong[1].astype(np.float64) - wrong[0]

    def rise(label: int) -> Difference:
        own = classes == label

        def of(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            with np.errstate(invalid="ignore"):  # a resample without the class has no such rate
                return np.asarray(weights[:, own] @ gained[own] / weights[:, own].sum(1))

        return resampled_difference(of, groups, images, resamples, seed, level)

    single = choose_clusters(groups, images)[1].max() == 0
    auroc = paired_difference(
        after[None], before[None], classes, groups, images, "auroc", resamples=resamples, seed=seed, level=level
    )
    found = {"escape_rate": rise(1), "false_call_rate": rise(0), "auroc": auroc}
    return {name: replace(each, low=np.nan, high=np.nan) if single else each for name, each in found.items()}
