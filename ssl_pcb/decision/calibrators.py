"""Three ways from scores to probabilities, fitted on validation samples at their own share of defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.decision.calibration import TemperatureScaling, sigmoid
from ssl_pcb.decision.checks import checked_pair, checked_scores
from ssl_pcb.decision.prevalence import AtRate

Method = Literal["temperature", "platt", "isotonic"]


@dataclass(frozen=True)
class PlattScaling:
    """A logistic curve through the scores (Platt 1999): any scale and offset; the order is kept
    unless validation ranks the wrong way round.

    Attributes:
        slope: Of the log-odds in the score.
        offset: Log-odds at a score of 0.
    """

    slope: float
    offset: float

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probability of Defective (N,) for scores (N,)."""
        return sigmoid(self.slope * checked_scores(scores) + self.offset)

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> PlattScaling:
        """By logistic regression on Platt's smoothed targets, so that separable samples do not make it a step.

        Raises:
            UserError: On NaN scores or one class only.
        """
        from sklearn.linear_model import LogisticRegression

        values, classes = checked_pair(scores, labels, both_classes=True)
        centre, scale = float(values.mean()), float(values.std()) or 1.0
        defective = int(classes.sum())
        good = len(classes) - defective
        targets = np.where(classes == 1, (defective + 1) / (defective + 2), 1 / (good + 2))
        # A sample with the target t counts t times as Defective and 1 - t times as not.
        x = np.tile((values - centre) / scale, 2)[:, None]
        y = np.repeat([1, 0], len(values))
        fitted = LogisticRegression(C=np.inf).fit(x, y, np.concatenate([targets, 1 - targets]))
        slope = float(fitted.coef_[0, 0]) / scale
        return cls(slope, float(fitted.intercept_[0]) - slope * centre)


@dataclass(frozen=True)
class IsotonicCalibration:
    """The best rising steps (Zadrozny and Elkan 2002), joined by lines; it takes many samples, and ties appear.

    Attributes:
        scores: Ascending corners.
        values: Probability at each.
    """

    scores: tuple[float, ...]
    values: tuple[float, ...]

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probability of Defective (N,) for scores (N,); beyond the corners that of the last one."""
        return np.asarray(np.interp(checked_scores(scores), self.scores, self.values))

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> IsotonicCalibration:
        """By scikit-learn's isotonic regression.

        Raises:
            UserError: On NaN scores or one class only.
        """
        from sklearn.isotonic import IsotonicRegression

        values, classes = checked_pair(scores, labels, both_classes=True)
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(values, classes)
        return cls(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()))


@dataclass(frozen=True)
class LogOdds:
    """Scores that are log-odds already, at the share of defects that training showed."""

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probability of Defective (N,) for scores (N,)."""
        return sigmoid(checked_scores(scores))


Calibrator = TemperatureScaling | PlattScaling | IsotonicCalibration | LogOdds


@dataclass(frozen=True)
class Calibration:
    """A way from scores to probabilities, and the share of defects among the samples that it comes from.

    Attributes:
        calibrator: From scores to probabilities.
        rate: Share of Defective in validation, on which it was fitted; of :class:`LogOdds` that of what the sampler
            showed in training.
    """

    calibrator: Calibrator
    rate: float

    def probabilities(self, scores: ArrayLike) -> AtRate:
        """Of Defective (N,) for scores (N,), at :attr:`rate`."""
        return AtRate(self.calibrator.probabilities(scores), self.rate)


def fit_calibration(method: Method, scores: ArrayLike, labels: ArrayLike) -> Calibration:
    """Fit one of the ways on validation samples, all of them.

    Args:
        method: ``temperature`` (keeps 0 at one half: only for scores that are log-odds), ``platt``, or ``isotonic``.
        scores: (N,), higher = more likely Defective.
        labels: (N,) in {0, 1}.

    Raises:
        UserError: On NaN scores or one class only.
    """
    fits = {"temperature": TemperatureScaling, "platt": PlattScaling, "isotonic": IsotonicCalibration}
    _, classes = checked_pair(scores, labels, both_classes=True)
    return Calibration(fits[method].fit(scores, classes), float(classes.mean()))  # type: ignore[attr-defined]
