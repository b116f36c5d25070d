"""Which samples a report counts."""

import numpy as np
import pytest

from ssl_pcb.evaluation.balance import counted


@pytest.mark.parametrize("rarer", [0, 1])
def test_balanced_counts_all_of_the_rarer_class_and_as_many_of_the_other(rarer):
    labels = np.where(np.arange(50) % 5 == 0, rarer, 1 - rarer)
    kept = counted(labels, "balanced", 0)
    assert np.bincount(labels[kept]).tolist() == [10, 10]
    assert set(np.flatnonzero(labels == rarer)) <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert not np.array_equal(kept, counted(labels, "balanced", 1))
    assert np.array_equal(kept, counted(labels, "balanced", 0))


def test_natural_counts_all():
    assert counted(np.array([0, 0, 1]), "natural", 0).tolist() == [0, 1, 2]
