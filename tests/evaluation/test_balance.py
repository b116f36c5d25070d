"""Which samples a report counts."""

import numpy as np
import pytest

from ssl_pcb.evaluation.balance import counted


@pytest.mark.parametrize("rarer", [0, 1])
def test_balanced_counts_all_of_the_rarer_class_and_as_many_of_the_other(rarer):
    labels = np.where(np.arange(50) % 5 == 0, rarer, 1 - rarer)
    kept = counted(labels, "balanced")
    assert np.bincount(labels[kept]).tolist() == [10, 10]
    assert set(np.flatnonzero(labels == rarer)) <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert np.array_equal(kept, counted(labels, "balanced"))
    assert np.ptp(np.diff(kept)) > 0  # drawn, not the first ones


def test_natural_counts_all():
    assert counted(np.array([0, 0, 1]), "natural").tolist() == [0, 1, 2]
