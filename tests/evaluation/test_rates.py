"""Rates at a fixed threshold, and how bad they may be."""

import numpy as np
import pytest
from scipy.stats import binomtest

from ssl_pcb.evaluation.rates import by_name, cluster_bound, rates_at

SCORES = np.array([3.0, -1, 2, 2, -3, -3, 4, -2])
LABELS = np.array([1, 1, 1, 0, 0, 0, 1, 0])
IMAGES = ["a", "a", "b", "b", "c", "c", "d", "d"]


def test_counts_and_bounds_of_a_case_worked_by_hand():
    escape, false_call = rates_at(SCORES, LABELS, 0.0, [""] * 8, IMAGES)
    assert (escape.errors, escape.samples, escape.value) == (1, 4, 0.25)
    assert (false_call.errors, false_call.samples, false_call.value) == (1, 4, 0.25)
    exact = binomtest(1, 4, alternative="less").proportion_ci(0.95, method="exact").high
    assert escape.bound == pytest.approx(exact, abs=1e-9)
    assert escape.over == "source image"


def test_the_cluster_bound_is_a_quantile_over_resampled_images():
    """Errors that come in whole images say less than as many that come one by one."""
    labels = np.ones(400, int)
    together = np.where(np.arange(400) < 40, -1.0, 1.0)
    images = [str(number // 20) for number in range(400)]
    apart = together.reshape(20, 20).T.ravel()
    found = [rates_at(scores, labels, 0.0, [""] * 400, images, resamples=4000)[0] for scores in (together, apart)]
    assert found[0].bound == found[1].bound
    draws = np.random.default_rng(5).binomial(20, 2 / 20, 100_000) / 20  # images of errors alone, of 20
    assert found[0].cluster_bound == pytest.approx(np.quantile(draws, 0.95), abs=0.051)
    assert found[1].cluster_bound < 0.11 < found[0].bound < found[0].cluster_bound == found[0].worst


def test_no_error_has_a_bound_all_the_same():
    escape, _ = rates_at(SCORES, LABELS, -2.5, [""] * 8, IMAGES)
    assert (escape.errors, escape.cluster_bound) == (0, None)
    assert escape.worst == escape.bound == pytest.approx(1 - 0.05 ** (1 / 4))


def test_a_class_that_is_missing_has_no_rate():
    escape, false_call = rates_at([1.0, -1.0], [0, 0], 0.0, ["", ""], ["a", "b"])
    assert np.isnan(escape.value)
    assert escape.to_dict()["value"] is None
    assert escape.worst == 1
    assert false_call.value == 0.5


def test_an_image_is_what_its_worst_tile_is():
    scores, labels = by_name(SCORES, LABELS, IMAGES)
    assert scores.tolist() == [3, 2, -3, 4]
    assert labels.tolist() == [1, 1, 0, 1]


def test_a_bound_from_counts_is_that_from_samples():
    """Clusters of several sizes, each with its errors."""
    images = [str(number) for number, size in enumerate((3, 5, 2, 8)) for _ in range(size)]
    scores = np.array([-1, 1, 1, -1, -1, 1, 1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1])
    escape, _ = rates_at(scores, np.ones(18, int), 0.0, [""] * 18, images)
    assert cluster_bound([1, 2, 0, 1], [3, 5, 2, 8]) == escape.cluster_bound
    assert cluster_bound([0, 0], [3, 5]) is None
    assert cluster_bound([2, 0], [3, 0]) is None
