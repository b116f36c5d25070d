"""The numbers of one set of scores at one threshold; the positive class is Defective."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from ssl_pcb.data.manifest import LABELS
from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.decision.thresholds import decide

Rates = dict[str, NDArray[np.float64]]

AT_ESCAPE = {"false_call_rate_at_5_escape": 0.05, "false_call_rate_at_1_escape": 0.01}
"""The false-call rate where at most this share of the defects escapes, read off the judged scores themselves.

No threshold that was chosen beforehand keeps such a promise exactly; these compare rankings.
"""

UNDEFINED = {
    "escape_rate": "no sample is Defective",
    "recall_defective": "no sample is Defective",
    "false_call_rate": "no sample is NonDefective",
    "recall_nondefective": "no sample is NonDefective",
    "precision_defective": "no sample was called Defective",
    "precision_nondefective": "no sample was called NonDefective",
    "f1_defective": "no sample is Defective or was called so",
    "f1_nondefective": "no sample is NonDefective or was called so",
    "balanced_accuracy": "only one class is present",
    "auroc": "only one class is present",
    "average_precision": "no sample is Defective",
    **dict.fromkeys(AT_ESCAPE, "only one class is present"),
}
"""Why a metric can be NaN."""


def confusion_rates(tn: ArrayLike, fp: ArrayLike, fn: ArrayLike, tp: ArrayLike) -> Rates:
    """All rates that follow from the four counts, elementwise; 0 / 0 is NaN, never 0 or 1.

    Args:
        tn: Good samples passed.
        fp: Good samples called Defective (false calls).
        fn: Defective samples passed (escapes).
        tp: Defective samples called Defective.

    Returns:
        Each of the counts' shape. ``escape_rate`` is missed defects / defects, ``false_call_rate`` false
        calls / good samples.
    """
    tn, fp, fn, tp = (np.asarray(count, dtype=np.float64) for count in (tn, fp, fn, tp))
    total = tn + fp + fn + tp
    recall_defective, recall_nondefective = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return {
        "accuracy": _ratio(tn + tp, total),
        "balanced_accuracy": (recall_defective + recall_nondefective) / 2,
        "escape_rate": _ratio(fn, tp + fn),
        "false_call_rate": _ratio(fp, tn + fp),
        "precision_defective": _ratio(tp, tp + fp),
        "recall_defective": recall_defective,
        "f1_defective": _ratio(2 * tp, 2 * tp + fp + fn),
        "precision_nondefective": _ratio(tn, tn + fn),
        "recall_nondefective": recall_nondefective,
        "f1_nondefective": _ratio(2 * tn, 2 * tn + fn + fp),
        "prevalence": _ratio(tp + fn, total),
    }


def classification_metrics(scores: ArrayLike, labels: ArrayLike, threshold: float) -> dict[str, Any]:
    """Rates at ``threshold``, ranking metrics over all thresholds, and the confusion matrix.

    Args:
        scores: (N,), higher = more likely Defective.
        labels: (N,) in {0, 1}.
        threshold: Samples with ``score >= threshold`` are called Defective.

    Returns:
        Floats by name (see :func:`confusion_rates`; also ``auroc``, ``average_precision`` and the keys of
        :data:`AT_ESCAPE`), NaN where undefined; ``n`` (int); ``confusion`` ``[[tn, fp], [fn, tp]]`` (rows true,
        columns called) with ``confusion_labels`` naming both axes.

    Raises:
        UserError: On NaN scores or unlabelled samples.
    """
    values, classes = checked_pair(scores, labels)
    called = decide(values, threshold).astype(int)
    confusion = np.bincount(2 * classes + called, minlength=4)
    defective = int(classes.sum())
    mixed = 0 < defective < len(classes)
    return {
        **{name: float(rate) for name, rate in confusion_rates(*confusion).items()},
        "auroc": float(roc_auc_score(classes, values)) if mixed else np.nan,
        "average_precision": float(average_precision_score(classes, values)) if defective else np.nan,
        **{name: _at_escape(classes, values, escape) if mixed else np.nan for name, escape in AT_ESCAPE.items()},
        "n": len(classes),
        "confusion": confusion.reshape(2, 2).tolist(),
        "confusion_labels": list(LABELS),
    }


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared distance between the probability of Defective (N,) and the label (N,); lower is better."""
    values, classes = checked_pair(probabilities, labels)
    return float(np.mean((values - classes) ** 2))


def _at_escape(classes: NDArray[np.int64], values: NDArray[np.float64], escape: float) -> float:
    false_calls, found, _ = roc_curve(classes, values, drop_intermediate=False)
    return float(false_calls[np.argmax(found >= 1 - escape - 1e-9)])


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))
