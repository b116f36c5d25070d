import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from ssl_pcb.decision.calibration import (
    TEMPERATURE_LIMITS,
    TemperatureScaling,
    expected_calibration_error,
)
from ssl_pcb.errors import UserError


def drawn(temperature, n=4000, seed=0):
    """Logits that are ``temperature`` times too large for the labels drawn from them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-0.5, 2, n)
    return logits * temperature, (generator.random(n) < expit(logits)).astype(int)


def nll(temperature, logits, labels):
    return np.mean(np.logaddexp(0, np.where(labels == 1, -1, 1) * logits / temperature))


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0])
def test_fit_finds_the_minimum_of_the_likelihood(temperature):
    logits, labels = drawn(temperature)
    fitted = TemperatureScaling.fit(logits, labels).temperature
    reference = minimize_scalar(
        lambda log_t: nll(np.exp(log_t), logits, labels),
        bounds=(-3, 4),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert fitted == pytest.approx(np.exp(reference.x), rel=1e-5)
    assert fitted == pytest.approx(temperature, rel=0.1)


def test_fit_lowers_the_calibration_error_and_keeps_the_order():
    logits, labels = drawn(5.0)
    scaling = TemperatureScaling.fit(logits, labels)
    before = expected_calibration_error(expit(logits), labels)
    after = expected_calibration_error(scaling.probabilities(logits), labels)
    assert before > 0.1
    assert after < 0.03
    assert (np.argsort(scaling.probabilities(logits / 5)) == np.argsort(logits)).all()


def test_separable_and_useless_logits_stop_at_the_limits():
    low, high = TEMPERATURE_LIMITS
    assert TemperatureScaling.fit([-2.0, 3.0], [0, 1]).temperature == pytest.approx(low)
    assert TemperatureScaling.fit([2.0, -3.0], [0, 1]).temperature == pytest.approx(high)


def test_extreme_logits_give_probabilities_without_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert TemperatureScaling(1.0).probabilities([-1e5, 0.0, 1e5]).tolist() == [0.0, 0.5, 1.0]


def test_calibration_error_of_hand_worked_bins():
    # Two bins of two: |0.15 - 0.5| and |0.85 - 1.0|, half the mass each.
    assert expected_calibration_error([0.1, 0.2, 0.8, 0.9], [0, 1, 1, 1], bins=2) == pytest.approx(0.25)


def test_calibration_error_does_not_depend_on_the_order_of_tied_samples():
    probabilities, labels = np.array([0.3] * 50 + [0.7] * 50), np.tile([0, 1], 50)
    errors = {
        round(expected_calibration_error(probabilities[order], labels[order]), 12)
        for order in (np.random.default_rng(seed).permutation(100) for seed in range(5))
    }
    assert errors == {0.2}


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan])
def test_a_temperature_that_is_no_positive_number_is_refused(temperature):
    with pytest.raises(UserError, match="temperature"):
        TemperatureScaling(temperature)


def test_logits_in_place_of_probabilities_are_refused():
    with pytest.raises(UserError, match="outside 0 to 1"):
        expected_calibration_error([-1.0, 0.5], [0, 1])
    with pytest.raises(UserError, match="all 2 samples"):
        TemperatureScaling.fit([0.1, 0.2], [1, 1])
