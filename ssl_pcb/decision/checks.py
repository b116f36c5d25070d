"""What every number made from scores asks of its input, checked in one place."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.errors import UserError


def checked_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """``scores`` as a float64 vector.

    Raises:
        UserError: If there are none, or one of them is NaN or infinite.
        ValueError: If they are not one-dimensional.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"scores must be one-dimensional, got shape {values.shape}")
    if not len(values):
        raise UserError("scores: there are none; the split named has no labelled samples")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise UserError(
            f"scores: {len(bad)} of {len(values)} are NaN or infinite (first: row {bad[0] + 1}); "
            "the model diverged: train it again with a lower learning rate"
        )
    return values


def checked_pair(
    scores: ArrayLike, labels: ArrayLike, *, both_classes: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """``scores`` (N,) as float64 and ``labels`` (N,) in {0, 1} as int64.

    Args:
        scores: One score a sample, higher = more likely Defective.
        labels: One class index a sample.
        both_classes: Whether to insist on at least one sample of each class.

    Raises:
        UserError: On non-finite scores, an unlabelled sample, or (if asked for) one class only.
        ValueError: If the shapes differ.
    """
    values = checked_scores(scores)
    classes = np.asarray(labels)
    if classes.shape != values.shape:
        raise ValueError(f"scores {values.shape} and labels {classes.shape} differ in shape")
    if not np.isin(classes, (0, 1)).all():
        odd = int(np.flatnonzero(~np.isin(classes, (0, 1)))[0])
        raise UserError(f"labels: row {odd + 1} has class {classes[odd]}; leave unlabelled samples out")
    if both_classes and len(np.unique(classes)) < 2:
        only = "Defective" if classes[0] else "NonDefective"
        raise UserError(f"labels: all {len(classes)} samples are {only}; both classes are needed here")
    return values, classes.astype(np.int64)
