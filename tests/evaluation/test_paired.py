"""The paired difference of two methods, against a loop over resamples."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from ssl_pcb.evaluation.bootstrap import draw_cluster_counts
from ssl_pcb.evaluation.paired import paired_balanced_accuracy, paired_difference

MEASURE = {"auroc": roc_auc_score, "average_precision": average_precision_score}


def case(images=12, each=5):
    rng = np.random.default_rng(0)
    count = images * each
    labels = np.tile([0, 0, 0, 1, 1], images)
    names = [f"{image}.png" for image in np.repeat(np.arange(images), each)]
    hard = np.repeat(rng.normal(0, 2, images), each)  # what makes a picture hard for both
    first = labels + hard + rng.normal(0, 0.5, (3, count))
    second = labels * 0.3 + hard + rng.normal(0, 0.5, (2, count))
    return first, second, labels, ["board"] * count, names


@pytest.mark.parametrize("metric", MEASURE)
def test_it_is_the_difference_of_means_over_seeds_in_each_resample(metric):
    first, second, labels, groups, images = case()
    found = paired_difference(first, second, labels, groups, images, metric, resamples=200, seed=7)
    measure = MEASURE[metric]

    def difference(positions):
        means = [np.mean([measure(labels[positions], row[positions]) for row in scores]) for scores in (first, second)]
        return means[0] - means[1]

    assert found.value == pytest.approx(difference(np.arange(len(labels))))
    _, cluster_of = np.unique(images, return_inverse=True)
    drawn = [
        difference(np.repeat(np.arange(len(labels)), counts[cluster_of])) for counts in draw_cluster_counts(12, 200, 7)
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))))
    assert found.over == "source image"
    assert found.low < found.value < found.high


def test_what_is_hard_for_both_cancels():
    first, second, labels, groups, images = case()
    constant = np.zeros((1, len(labels)))

    def width(one, other):
        found = paired_difference(one, other, labels, groups, images, "auroc", resamples=400)
        return found.high - found.low

    # A constant score has AUROC 0.5 in every resample, so these two are the methods' own spreads.
    assert width(first, second) < 0.9 * np.hypot(width(first, constant), width(second, constant))


def test_a_method_beside_itself():
    first, _, labels, groups, images = case()
    found = paired_difference(first, first, labels, groups, images, "auroc", resamples=100)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_verdicts_are_compared_by_balanced_accuracy_in_each_resample():
    first, second, labels, groups, images = case()
    calls = [scores[0] >= 0.5 for scores in (first, second)]
    found = paired_balanced_accuracy(*calls, labels, groups, images, resamples=200, seed=7)

    def difference(positions):
        one, other = (balanced_accuracy_score(labels[positions], each[positions]) for each in calls)
        return one - other

    assert found.value == pytest.approx(difference(np.arange(len(labels))))
    _, cluster_of = np.unique(images, return_inverse=True)
    drawn = [
        difference(np.repeat(np.arange(len(labels)), counts[cluster_of])) for counts in draw_cluster_counts(12, 200, 7)
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))))
