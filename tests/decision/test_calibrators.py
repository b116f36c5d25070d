"""Probabilities that hold, and hold elsewhere too."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from ssl_pcb.decision.calibration import sigmoid
from ssl_pcb.decision.calibrators import IsotonicCalibration, PlattScaling, fit_calibration
from ssl_pcb.decision.prevalence import AtRate
from ssl_pcb.errors import UserError

RNG = np.random.default_rng(0)
TRUE = sigmoid(RNG.normal(-1, 2, 4000))
LABELS = (RNG.random(4000) < TRUE).astype(int)
LOG_ODDS = np.log(TRUE / (1 - TRUE))
DISTORTED = 3 * LOG_ODDS + 4
"""Scores that are sure of themselves, and lean towards Defective."""


def test_platt_is_the_best_curve_by_its_own_likelihood():
    defective = LABELS.sum()
    targets = np.where(LABELS == 1, (defective + 1) / (defective + 2), 1 / (len(LABELS) - defective + 2))

    def loss(parameters):
        p = np.clip(sigmoid(parameters[0] * DISTORTED + parameters[1]), 1e-12, 1 - 1e-12)
        return -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))

    best = minimize(loss, [0.3, -1], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    fitted = PlattScaling.fit(DISTORTED, LABELS)
    assert [fitted.slope, fitted.offset] == pytest.approx(best.x, abs=2e-3)
    assert fitted.slope == pytest.approx(1 / 3, abs=0.03)
    assert fitted.offset == pytest.approx(-4 / 3, abs=0.12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_platt_does_not_mind_the_scale_of_scores(scale):
    near = PlattScaling.fit(DISTORTED, LABELS).probabilities(DISTORTED)
    assert PlattScaling.fit(scale * DISTORTED, LABELS).probabilities(scale * DISTORTED) == pytest.approx(near, abs=1e-4)


def test_separable_scores_do_not_become_certainties():
    fitted = PlattScaling.fit(np.arange(20.0), np.arange(20) >= 10)
    assert 0.001 < fitted.probabilities([0.0])[0] < 0.2
    assert 0.8 < fitted.probabilities([19.0])[0] < 0.999


def test_isotonic_is_scikit_learns_and_can_be_kept_as_numbers():
    fitted = IsotonicCalibration.fit(DISTORTED, LABELS)
    probe = np.linspace(DISTORTED.min() - 5, DISTORTED.max() + 5, 500)
    reference = IsotonicRegression(out_of_bounds="clip").fit(DISTORTED, LABELS).predict(probe)
    assert fitted.probabilities(probe) == pytest.approx(reference, abs=1e-9)
    assert (np.diff(fitted.probabilities(probe)) >= 0).all()


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_mean_probability_is_the_share_of_defects(method):
    found = fit_calibration(method, DISTORTED, LABELS).probabilities(DISTORTED)
    assert found.rate == LABELS.mean()
    assert found.values.mean() == pytest.approx(LABELS.mean(), abs=2e-3)
    assert np.abs(found.values - TRUE).mean() < 0.02
    assert np.abs(sigmoid(DISTORTED) - TRUE).mean() > 0.1


def test_a_temperature_cannot_mend_what_leans():
    found = fit_calibration("temperature", DISTORTED, LABELS).probabilities(DISTORTED)
    assert found.values.mean() > LABELS.mean() + 0.05


def test_odds_shift_by_the_ratio_of_the_rates_odds():
    """Half in half of the samples is one in a hundred in one of a hundred: the test tells nothing."""
    assert AtRate(np.array([0.5]), 0.5).at(0.01).values == pytest.approx([0.01])
    # 0.9 at 0.26: odds 9 * (0.002 / 0.998) * (0.74 / 0.26) = 0.05133...
    odds = 9 * (0.002 / 0.998) * (0.74 / 0.26)
    assert AtRate(np.array([0.9]), 0.26).at(0.002).values == pytest.approx([odds / (1 + odds)], abs=1e-12)
    assert AtRate(np.array([0.0, 1.0]), 0.26).at(0.002).values.tolist() == [0, 1]


def test_correcting_twice_is_correcting_once():
    found = AtRate(np.linspace(0, 1, 11), 0.3)
    assert found.at(0.01).at(0.01).values == pytest.approx(found.at(0.01).values, abs=1e-15)
    assert found.at(0.2).at(0.01).values == pytest.approx(found.at(0.01).values, abs=1e-12)
    assert found.at(0.01).at(0.3).values == pytest.approx(found.values, abs=1e-12)


def test_shifted_probabilities_hold_where_defects_are_rarer():
    """Of thinned samples, the shift says what fitting on them would."""
    calibration = fit_calibration("platt", DISTORTED, LABELS)
    kept = (LABELS == 0) | (RNG.random(4000) < 0.1)
    found = calibration.probabilities(DISTORTED[kept]).at(LABELS[kept].mean())
    assert found.values.mean() == pytest.approx(LABELS[kept].mean(), abs=0.01)
    assert calibration.probabilities(DISTORTED[kept]).values.mean() > LABELS[kept].mean() + 0.1


@pytest.mark.parametrize("rate", [0, 1, 2])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(UserError, match="--defect-rate"):
        AtRate(np.array([0.5]), 0.3).at(rate)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_one_class_is_refused(method):
    with pytest.raises(UserError, match="both classes"):
        fit_calibration(method, [1.0, 2.0], [1, 1])
