"""Whether probabilities mean what they say."""

import numpy as np
import pytest

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.reliability import calibration_error, cross_fitted, reliability_bins

RNG = np.random.default_rng(1)
P = RNG.random(3000)
LABELS = (RNG.random(3000) < P).astype(int)


def test_bins_of_equal_mass():
    bins = reliability_bins(P, LABELS, 10)
    assert [each.samples for each in bins] == [300] * 10
    order = np.argsort(P)
    assert bins[3].predicted == pytest.approx(P[order[900:1200]].mean())
    assert bins[3].observed == LABELS[order[900:1200]].mean()
    assert len(reliability_bins(P[:4], LABELS[:4], 10)) == 4


def test_equal_probabilities_share_a_bin_in_whatever_order_they_stand():
    """Isotonic steps make many of them."""
    labels = np.repeat([1, 0], [100, 900])
    assert reliability_bins(np.full(1000, 0.1), labels) == [pytest.approx((0.1, 0.1, 1000))]
    steps = np.repeat([0.1, 0.2, 0.9], [500, 300, 200])
    assert [each.samples for each in reliability_bins(steps, labels)] == [500, 300, 200]


def test_true_probabilities_have_little_error_and_sure_ones_much():
    assert calibration_error(P, LABELS)["ece"] < 0.03
    assert calibration_error(np.round(P), LABELS)["ece"] > 0.2
    assert calibration_error(P, LABELS)["mean_probability"] == pytest.approx(0.5, abs=0.02)


def test_a_calibration_never_saw_the_image_that_it_judges():
    """A label that is the same within an image, and no score: fitted on itself, isotonic steps would know it."""
    images = [str(number // 10) for number in range(400)]
    labels = np.repeat(RNG.integers(0, 2, 40), 10)
    scores = np.repeat(RNG.permutation(40), 10).astype(float)  # tells images apart, and nothing else
    apart = cross_fitted("isotonic", scores, labels, images)
    assert np.mean((apart - labels) ** 2) > 0.2
    assert np.isfinite(apart).all()


@pytest.mark.parametrize("images", [["a"] * 8, [*"aaaabbbb"]])
def test_one_image_of_a_class_leaves_nothing_to_fit_on(images):
    scores, labels = np.linspace(-1, 1, 8), np.array([0] * 4 + [1] * 4)
    with pytest.raises(UserError, match="of too few source images to judge a calibration"):
        cross_fitted("platt", scores, labels, images)
