"""Scores that mean what they say: temperature scaling, and how far probabilities are off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.decision.checks import checked_pair, checked_scores
from ssl_pcb.errors import UserError

TEMPERATURE_LIMITS = (0.05, 100.0)


@dataclass(frozen=True)
class TemperatureScaling:
    """Binary temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    A logit is the log-odds of Defective. Dividing it by the temperature changes no order and no verdict at
    the corresponding threshold, only how sure the probability sounds.

    Attributes:
        temperature: Above 1 softens overconfident logits, below 1 sharpens.
    """

    temperature: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise UserError(f"temperature: {self.temperature} is not a positive number")

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Probability of Defective (N,) for ``logits`` (N,).

        Raises:
            UserError: If a logit is NaN or infinite.
        """
        return sigmoid(checked_scores(logits) / self.temperature)

    @classmethod
    def fit(cls, logits: ArrayLike, labels: ArrayLike) -> TemperatureScaling:
        """The temperature that minimises the negative log-likelihood of ``labels``.

        The loss is convex in 1/T, so its slope changes sign once and bisection on log T finds the place
        whatever the logits' scale. Logits that separate the classes at 0 would drive T to 0 and useless ones
        to infinity: T stays within :data:`TEMPERATURE_LIMITS`.

        Args:
            logits: (N,) log-odds of Defective.
            labels: (N,) in {0, 1}.

        Raises:
            UserError: On NaN logits or one class only.
        """
        values, classes = checked_pair(logits, labels, both_classes=True)
        low, high = np.log(TEMPERATURE_LIMITS)
        for _ in range(60):
            middle = (low + high) / 2
            slope = np.mean((sigmoid(values / np.exp(middle)) - classes) * values)  # of the loss in 1/T
            low, high = (middle, high) if slope > 0 else (low, middle)
        return cls(float(np.exp((low + high) / 2)))


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function, without overflow at either end."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Mean distance between predicted and observed share of Defective, over bins of equal mass.

    Equal probabilities always share a bin, so the order of the samples does not matter (and bins are then
    only as equal as the ties allow).

    Args:
        probabilities: (N,) in [0, 1].
        labels: (N,) in {0, 1}.
        bins: Number of bins.

    Raises:
        UserError: On probabilities that are NaN or outside [0, 1].
    """
    values, classes = checked_pair(probabilities, labels)
    if values.min() < 0 or values.max() > 1:
        raise UserError("probabilities: some lie outside 0 to 1; give calibrated scores, not logits")
    gaps = np.bincount(equal_mass_bins(values, bins), weights=values - classes, minlength=bins)
    return float(np.abs(gaps).sum() / len(values))


def equal_mass_bins(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """The bin (N,), from 0 for the lowest, of each of ``values`` (N,); equal values share one."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(counts) - counts / 2
    return np.asarray(np.minimum((bins * middle_rank / len(values)).astype(np.int64), bins - 1)[inverse])
