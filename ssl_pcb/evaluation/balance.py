"""Which samples a report counts."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.training.runtime import derive_seed

Balance = Literal["natural", "balanced"]


def counted(labels: NDArray[np.int64], balance: Balance) -> NDArray[np.int64]:
    """Positions that a report counts, ascending.

    Rates within a class (escape rate, false-call rate, AUROC) mean the same either way; accuracy, precision, F1 and
    average precision do not.

    Args:
        labels: (N,) in {0, 1}, in the order of the manifest.
        balance: ``natural`` = all; ``balanced`` = as many of either class, drawn from the larger one. The draw is the
            same whatever a run's seed: runs that are compared are judged on the same samples.
    """
    if balance == "natural":
        return np.arange(len(labels))
    rng = np.random.default_rng(derive_seed(0, "test balance"))
    classes = [np.flatnonzero(labels == label) for label in (0, 1)]
    size = min(len(each) for each in classes)
    return np.sort(np.concatenate([rng.choice(each, size, replace=False) for each in classes]))
