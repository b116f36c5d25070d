"""Logistic regression on frozen features, and the label fractions that it is fitted on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.evaluation.vectors import finite_rows

log = logging.getLogger(__name__)

CS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
MAX_ITERATIONS = 300


@dataclass(frozen=True)
class LogisticProbe:
    """A fitted probe.

    Attributes:
        c: The inverse regularisation strength chosen on validation.
        mean: (D,) of the training features.
        scale: (D,) standard deviations of the training features, 1 where a feature is constant.
        weight: (D,) on standardised features.
        bias: Intercept.
    """

    c: float
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weight: NDArray[np.float64]
    bias: float

    def scores(self, features: ArrayLike) -> NDArray[np.float64]:
        """Log-odds of Defective (N,) for ``features`` (N, D)."""
        return ((finite_rows(features) - self.mean) / self.scale) @ self.weight + self.bias


def logistic_probe(
    train_x: ArrayLike, train_y: ArrayLike, val_x: ArrayLike, val_y: ArrayLike, cs: Sequence[float] = CS
) -> LogisticProbe:
    """Fit for each C, and keep the one with the best validation AUROC (ties: the smallest C).

    Features are standardised on the training samples. The grid is walked from the smallest C, each fit
    starting from the one before.

    Args:
        train_x: (M, D).
        train_y: (M,) in {0, 1}.
        val_x: (N, D); chooses C, so its score is no estimate of performance.
        val_y: (N,) in {0, 1}.
        cs: Inverse regularisation strengths.

    Raises:
        UserError: On NaN features, or one class only on either side.
    """
    train_x, val_x = finite_rows(train_x), finite_rows(val_x)
    _, train_y = checked_pair(train_x[:, 0], train_y, both_classes=True)
    _, val_y = checked_pair(val_x[:, 0], val_y, both_classes=True)
    mean, scale = standardisation(train_x)
    standardised = (train_x - mean) / scale
    model = LogisticRegression(warm_start=True, tol=1e-5, max_iter=MAX_ITERATIONS)
    fitted = []
    for c in sorted(cs):
        _fit(model.set_params(C=c), standardised, train_y)
        weight, bias = model.coef_[0].astype(np.float64), float(model.intercept_[0])
        auroc = float(roc_auc_score(val_y, ((val_x - mean) / scale) @ weight + bias))
        fitted.append((auroc, c, int(model.n_iter_[0]), weight, bias))
    _, c, iterations, weight, bias = max(fitted, key=lambda entry: entry[0])  # max keeps the first of equals
    if iterations >= MAX_ITERATIONS:
        log.warning("the logistic probe's fit at C = %g stopped unfinished after %d iterations", c, iterations)
    return LogisticProbe(c, mean, scale, weight, bias)


def label_fraction_indices(labels: ArrayLike, fraction: float, seed: int) -> NDArray[np.int64]:
    """A seeded stratified subset of the labelled samples, ascending.

    Smaller fractions of one seed lie within larger ones, so that a curve over fractions differs by what was
    added alone. Each class keeps at least one sample.

    Args:
        labels: (N,) in {0, 1}, or -1 for unlabelled, which are never taken.
        fraction: Share of each class, in (0, 1].
        seed: Seed of the draw.

    Raises:
        ValueError: If the fraction is outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"label fraction {fraction} is not in (0, 1]")
    classes = np.asarray(labels)
    generator = np.random.default_rng(seed)
    taken = []
    for label in (0, 1):
        members = generator.permutation(np.flatnonzero(classes == label))
        taken.append(members[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(taken))


def standardisation(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and scale (D,) that bring features (N, D) to mean 0 and deviation 1; a constant feature keeps its scale."""
    mean = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64)
    # Rounding leaves a constant feature a tiny deviation; dividing by it would blow up unseen samples.
    scale = np.where(scale > 1e-6 * np.abs(mean), scale, 1)
    return mean.astype(np.float32), scale.astype(np.float32)


def _fit(model: LogisticRegression, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    with warnings.catch_warnings():  # a line says it of the fit that is kept, in place of a page of warnings of all
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
