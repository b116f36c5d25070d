"""Planted causes of a fall from training to new boards, each found by its own measurement."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ssl_pcb.decision.calibration import sigmoid
from ssl_pcb.evaluation.gap import Gap, Part, SureErrors, auroc_gap, likeliest_causes, sure_errors

RNG = np.random.default_rng(0)


def part(distance, seed, count=1000):
    labels = np.arange(count) % 2
    scores = np.random.default_rng(seed).normal(0, 1, count) + distance * labels
    return Part(scores, labels, [""] * count, [str(number // 4) for number in range(count)])


def test_a_fall_is_found_and_none_is_not_invented():
    good, same, worse = part(2, 1), part(2, 2), part(1, 3)
    fall = auroc_gap(good, worse)
    expected = roc_auc_score(good.labels, good.scores) - roc_auc_score(worse.labels, worse.scores)
    assert fall.value == pytest.approx(expected)
    assert 0 < fall.low < fall.value < fall.high
    level = auroc_gap(good, same)
    assert level.low < 0 < level.high


@pytest.mark.parametrize("flipped", [0.0, 0.1])
def test_wrong_labels_show_where_the_classifier_is_surest(flipped):
    truth = RNG.normal(0, 3, 4000)
    right = (RNG.random(4000) < sigmoid(truth)).astype(int)
    labels = np.where(RNG.random(4000) < flipped, 1 - right, right)
    found = sure_errors(sigmoid(truth), labels)
    assert found.samples == 800
    if flipped:
        real = roc_auc_score(right, truth) - roc_auc_score(labels, truth)
        assert found.fall == pytest.approx(real, rel=0.35)
        assert found.errors > 60
        assert found.p_value < 1e-6
    else:
        assert found.errors == pytest.approx(found.expected, abs=4 * np.sqrt(found.expected) + 1)
        assert found.p_value > 0.01
        assert found.fall < 0.01


QUIET = SureErrors(100, 1, 1.0, 0.6, 0.0)
NOISE = SureErrors(100, 12, 2.0, 1e-6, 0.05)
LEVEL = Gap(0.0, -0.02, 0.02)


@pytest.mark.parametrize(
    ("measured", "causes"),
    [
        ((LEVEL, LEVEL, QUIET, 0.0), []),
        ((Gap(0.2, 0.1, 0.3), Gap(0.05, 0.01, 0.1), QUIET, 0.0), ["overfitting", "board shift"]),
        ((LEVEL, Gap(0.2, 0.1, 0.3), QUIET, 0.0), ["board shift"]),
        ((None, LEVEL, NOISE, 0.0), ["label noise"]),
        ((Gap(0.02, 0.01, 0.03), Gap(0.2, 0.1, 0.3), NOISE, 0.0), ["board shift", "label noise", "overfitting"]),
        ((LEVEL, Gap(0.06, 0.03, 0.09), NOISE, 0.0), ["label noise"]),
        ((LEVEL, LEVEL, QUIET, 0.3), ["leakage"]),
    ],
)
def test_each_cause_by_its_measurement(measured, causes):
    assert [name for name, _ in likeliest_causes(*measured)] == causes


@pytest.mark.parametrize("flipped", [0.05, 0.1, 0.2])
def test_wrong_labels_alone_are_no_board_shift(flipped):
    """Same, and judged, are alike but for labels turned over at random in the latter."""
    rng = np.random.default_rng(7)
    same, judged = part(3, 4, 4000), part(3, 5, 4000)
    noisy = Part(
        judged.scores,
        np.where(rng.random(4000) < flipped, 1 - judged.labels, judged.labels),
        judged.groups,
        judged.images,
    )
    shift = auroc_gap(same, noisy)
    assert shift.low > 0
    sure = sure_errors(sigmoid(3 * (judged.scores - 1.5)), noisy.labels)
    assert next(likeliest_causes(None, shift, sure, 0.0))[0] == "label noise"
