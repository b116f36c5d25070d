"""One-sided Clopper-Pearson bounds."""

import pytest
from scipy.stats import binom, binomtest

from ssl_pcb.decision.bounds import checked_rate, samples_needed, upper_bound
from ssl_pcb.errors import UserError


@pytest.mark.parametrize(("errors", "samples"), [(0, 1), (0, 299), (1, 20), (22, 626), (500, 501), (7, 7)])
def test_it_is_scipys_and_leaves_five_percent_below(errors, samples):
    bound = upper_bound(errors, samples)
    exact = binomtest(errors, samples, alternative="less").proportion_ci(0.95, method="exact")
    assert bound == pytest.approx(exact.high, abs=1e-9)
    if errors < samples:  # at the bound, so few errors would come in one case of twenty
        assert binom.cdf(errors, samples, bound) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("samples", [1, 59, 299, 10_000])
def test_without_an_error_it_has_a_formula(samples):
    assert upper_bound(0, samples) == pytest.approx(1 - 0.05 ** (1 / samples), abs=1e-12)


def test_of_no_samples_nothing_is_known():
    assert upper_bound(0, 0) == 1
    with pytest.raises(ValueError, match="3 errors among 2"):
        upper_bound(3, 2)


@pytest.mark.parametrize(("limit", "needed"), [(0.05, 59), (0.01, 299), (0.001, 2995)])
def test_the_samples_that_a_promise_takes(limit, needed):
    assert samples_needed(limit) == needed
    assert upper_bound(0, needed) <= limit < upper_bound(0, needed - 1)


@pytest.mark.parametrize("value", [0, 1, -0.1, 5, float("nan")])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(UserError, match=r"--max-escape: .* no share between 0 and 1"):
        checked_rate("--max-escape", value)
