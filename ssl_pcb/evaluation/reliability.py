"""Do probabilities mean what they say: bins of equal mass, and the error that remains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold

from ssl_pcb.decision.calibration import equal_mass_bins, expected_calibration_error
from ssl_pcb.decision.calibrators import Method, fit_calibration
from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.metrics import brier_score

FOLDS = 5

ONE_IMAGE = (
    "validation: the samples of a class are of too few source images to judge a calibration on others of them; report "
    "on samples apart (--holdout, --test or --data, without --gap), or label more validation images"
)


class Bin(NamedTuple):
    """One bin of a reliability diagram.

    Attributes:
        predicted: Mean probability of Defective.
        observed: Share of Defective.
        samples: In the bin.
    """

    predicted: float
    observed: float
    samples: int


def reliability_bins(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> list[Bin]:
    """Bins of equal mass from the lowest probability to the highest; equal probabilities share one, as for the error.

    Args:
        probabilities: (N,) of Defective.
        labels: (N,) in {0, 1}.
        bins: How many at most; of few samples, or many ties, there are fewer.
    """
    values, classes = checked_pair(probabilities, labels)
    bin_of = equal_mass_bins(values, bins)
    parts = [np.flatnonzero(bin_of == number) for number in np.unique(bin_of)]
    return [Bin(float(values[part].mean()), float(classes[part].mean()), len(part)) for part in parts]


def calibration_error(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, Any]:
    """ECE over bins of equal mass, Brier score, and mean probability beside the share of Defective."""
    values, classes = checked_pair(probabilities, labels)
    return {
        "ece": expected_calibration_error(values, classes),
        "brier": brier_score(values, classes),
        "mean_probability": float(values.mean()),
        "share_defective": float(classes.mean()),
    }


def cross_fitted(method: Method, scores: ArrayLike, labels: ArrayLike, images: Sequence[str]) -> NDArray[np.float64]:
    """Probabilities (N,) of validation samples by calibrations that were fitted on other images.

    A calibration judged on what it was fitted on looks better than it is, the isotonic one most of all.

    Args:
        method: How to calibrate.
        scores: (N,).
        labels: (N,) in {0, 1}.
        images: (N,) source image of each sample.

    Raises:
        UserError: On NaN scores, or if the images that remain have one class only.
    """
    values, classes = checked_pair(scores, labels, both_classes=True)
    if len(set(images)) < 2:
        raise UserError(ONE_IMAGE)
    folds = GroupKFold(min(FOLDS, len(set(images))))
    found = np.empty(len(values))
    for rest, own in folds.split(values, classes, np.asarray(images, dtype=str)):
        if len(np.unique(classes[rest])) < 2:
            raise UserError(ONE_IMAGE)
        found[own] = fit_calibration(method, values[rest], classes[rest]).probabilities(values[own]).values
    return found
