"""Which types of defects are found: each against all good samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.evaluation.metrics import AT_ESCAPE, classification_metrics

RANKING = ("auroc", *AT_ESCAPE)


def by_type(scores: ArrayLike, labels: ArrayLike, threshold: float, types: Sequence[str]) -> dict[str, Any]:
    """Ranking and escapes of each type of defect.

    A sample with defects of several types counts for each of them.

    Args:
        scores: (N,), higher = more likely Defective.
        labels: (N,) in {0, 1}.
        threshold: ``score >= threshold`` is Defective.
        types: (N,) names of a sample's defects, separated by ``;``; empty where unknown or none.

    Returns:
        Type to ``n`` (Defective samples that show it), ``escape_rate`` among them, ``auroc`` and the keys of
        :data:`~ssl_pcb.evaluation.metrics.AT_ESCAPE` of these against all NonDefective samples; ``None`` where
        undefined. Empty if no type is known.

    Raises:
        UserError: On NaN scores or unlabelled samples.
    """
    values, classes = checked_pair(scores, labels)
    shown = [set(names.split(";")) - {""} for names in types]
    found: dict[str, Any] = {}
    for name in sorted(set().union(*shown)):
        own = np.array([name in names for names in shown]) & (classes == 1)
        if own.any():
            rows = own | (classes == 0)
            metrics = classification_metrics(values[rows], classes[rows], threshold)
            kept = {key: metrics[key] for key in ("escape_rate", *RANKING)}
            found[name] = {"n": int(own.sum())} | {k: None if np.isnan(v) else v for k, v in kept.items()}
    return found
