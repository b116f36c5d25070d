"""Changes of rates at a fixed threshold, against a loop over resamples."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.bootstrap import draw_cluster_counts
from ssl_pcb.evaluation.changed import changes_of_rates

THRESHOLD = 0.4


def case(images=12, each=6):
    rng = np.random.default_rng(0)
    labels = np.tile([0, 0, 0, 0, 1, 1], images)
    names = [f"{image}.png" for image in np.repeat(np.arange(images), each)]
    before = labels + rng.normal(0, 0.5, images * each)
    after = before - 0.3 + np.repeat(rng.normal(0, 0.5, images), each)
    return before, after, labels, ["board"] * len(labels), names


def rates(scores, labels):
    called = scores >= THRESHOLD
    return {
        "escape_rate": np.mean(~called[labels == 1]), "false_call_rate": np.mean(called[labels == 0]),
        "auroc": roc_auc_score(labels, scores),
    }  # fmt: skip


def test_each_resample_draws_the_same_images_before_and_after():
    before, after, labels, groups, names = case()
    found = changes_of_rates(before, after, labels, THRESHOLD, groups, names, resamples=200, seed=7)
    _, cluster_of = np.unique(names, return_inverse=True)
    drawn = []
    for counts in draw_cluster_counts(12, 200, 7):
        places = np.repeat(np.arange(len(labels)), counts[cluster_of])
        first, second = rates(before[places], labels[places]), rates(after[places], labels[places])
        drawn.append({name: second[name] - first[name] for name in first})
    whole, clean = rates(after, labels), rates(before, labels)
    for name, each in found.items():
        assert each.value == pytest.approx(whole[name] - clean[name], abs=1e-12)
        ends = np.quantile([row[name] for row in drawn], (0.025, 0.975))
        assert (each.low, each.high) == pytest.approx(tuple(ends), abs=1e-12)
        assert each.over == "source image"
    assert found["escape_rate"].value > 0 > found["false_call_rate"].value


def test_pictures_that_do_not_change_change_nothing():
    before, _, labels, groups, names = case()
    found = changes_of_rates(before, before, labels, THRESHOLD, groups, names, resamples=100)
    assert {(each.value, each.low, each.high) for each in found.values()} == {(0, 0, 0)}


def test_one_image_alone_has_no_interval():
    before, after, labels, groups, _ = case()
    found = changes_of_rates(before, after, labels, THRESHOLD, groups, ["only.png"] * len(labels), resamples=100)
    for each in found.values():
        assert math.isfinite(each.value)
        assert math.isnan(each.low)
        assert math.isnan(each.high)


@pytest.mark.parametrize("where", [0, 1])
def test_scores_that_are_no_numbers_are_refused(where):
    before, after, labels, groups, names = case()
    (before, after)[where][3] = np.nan
    with pytest.raises(UserError, match=r"^scores: 1 of 72 are NaN or infinite"):
        changes_of_rates(before, after, labels, THRESHOLD, groups, names)


def test_one_class_is_refused():
    before, after, labels, groups, names = case()
    with pytest.raises(UserError, match="both classes are needed"):
        changes_of_rates(before, after, np.zeros_like(labels), THRESHOLD, groups, names)
