"""Thresholds that keep a promise, against trying all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.metrics import f1_score

from ssl_pcb.decision.operating_point import (
    BestF1,
    EscapeBudget,
    FalseCallBudget,
    Given,
    LeastCost,
    choose_operating_point,
    expected_cost,
)
from ssl_pcb.errors import UserError

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], [700, 300])
SCORES = np.round(RNG.normal(0, 1, 1000) + 2 * LABELS, 2)  # rounded, so that there are ties


def rates(threshold, scores=SCORES, labels=LABELS):
    called = scores >= threshold
    return (~called[labels == 1]).mean(), called[labels == 0].mean()


def promised(rate, samples, meant):
    if meant == "point":
        return rate
    errors = round(rate * samples)
    return 1.0 if errors == samples else beta.ppf(0.95, errors + 1, samples - errors)


EVERY = np.concatenate([[SCORES.min() - 1], np.unique(SCORES) + 0.004])
"""A threshold for each way to part the scores."""


@pytest.mark.parametrize("limit", [0.011, 0.05, 0.2])
@pytest.mark.parametrize("meant", ["bound", "point"])
class TestBudgets:
    def test_of_escapes_the_fewest_false_calls(self, limit, meant):
        escape, false_call = rates(choose_operating_point(SCORES, LABELS, EscapeBudget(limit, meant)))
        kept = [found for found in map(rates, EVERY) if promised(found[0], 300, meant) <= limit]
        assert promised(escape, 300, meant) <= limit
        assert false_call == min(found[1] for found in kept)

    def test_of_false_calls_the_fewest_escapes(self, limit, meant):
        escape, false_call = rates(choose_operating_point(SCORES, LABELS, FalseCallBudget(limit, meant)))
        kept = [found for found in map(rates, EVERY) if promised(found[1], 700, meant) <= limit]
        assert promised(false_call, 700, meant) <= limit
        assert escape == min(found[0] for found in kept)


def test_the_least_cost():
    rule = LeastCost(500, 1, 0.002)
    threshold = choose_operating_point(SCORES, LABELS, rule)
    costs = [0.002 * 500 * escape + 0.998 * 1 * false_call for escape, false_call in map(rates, EVERY)]
    assert expected_cost(rule, *rates(threshold)) == pytest.approx(min(costs), abs=1e-12)


def test_a_case_worked_by_hand():
    """Of escapes that cost 10 and false calls that cost 1, half and half, it pays to stop both good samples."""
    scores, labels = [1, 2, 3, 4], [1, 0, 0, 1]
    dear = choose_operating_point(scores, labels, LeastCost(10, 1, 0.5))
    assert dear < 1
    assert expected_cost(LeastCost(10, 1, 0.5), 0, 1) == 0.5
    assert choose_operating_point(scores, labels, LeastCost(1, 10, 0.5)) == 3.5
    assert expected_cost(LeastCost(1, 10, 0.5), 0.5, 0) == 0.25
    assert choose_operating_point(scores, labels, EscapeBudget(0.5, "point")) == 3.5


@pytest.mark.parametrize(("escape", "false_call", "rate"), [(2, 3, 0.6), (3, 7, 0.7), (9, 1, 0.1), (1, 1, 0.5)])
def test_costs_of_equal_size_are_settled_for_the_lower_threshold(escape, false_call, rate):
    """All defects below all good samples: to stop everything costs the same as to stop nothing, but for rounding."""
    rule = LeastCost(escape, false_call, rate)
    assert choose_operating_point([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0], rule) < 1


def test_the_best_f1():
    found = f1_score(LABELS, choose_operating_point(SCORES, LABELS, BestF1()) <= SCORES)
    assert found == max(f1_score(LABELS, threshold <= SCORES) for threshold in EVERY)


def test_a_threshold_that_is_given_is_the_one_used():
    assert choose_operating_point(SCORES, LABELS, Given(0.123456789)) == 0.123456789
    with pytest.raises(UserError, match="--threshold: nan"):
        choose_operating_point(SCORES, LABELS, Given(float("nan")))


@given(st.integers(0, 2**31), st.sampled_from([EscapeBudget(0.1, "point"), FalseCallBudget(0.1, "point")]))
def test_rounding_of_scores_to_half_precision_flips_nothing(seed, rule):
    """Thresholds lie midway between scores."""
    rng = np.random.default_rng(seed)
    labels = np.arange(40) % 2
    scores = np.unique(rng.normal(0, 1, 200).astype(np.float16))[:40].astype(float)
    rng.shuffle(scores)
    threshold = choose_operating_point(scores, labels, rule)
    gaps = np.abs(scores - threshold)
    shaken = scores + rng.uniform(-0.49, 0.49, 40) * 2 * gaps.min()
    assert ((scores >= threshold) == (shaken >= threshold)).all()


def test_too_few_defects_for_a_promise_are_refused_with_the_number_it_takes():
    with pytest.raises(UserError, match=r"at least 299 Defective tiles .* are 50; .* allow 0.0582, or pass --as p"):
        choose_operating_point(SCORES[650:750], LABELS[650:750], EscapeBudget(0.01), "tile")
    with pytest.raises(UserError, match="at least 299 NonDefective tiles"):
        choose_operating_point(SCORES[650:750], LABELS[650:750], FalseCallBudget(0.01), "tile")
    choose_operating_point(SCORES[650:750], LABELS[650:750], EscapeBudget(0.0583), "tile")


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (EscapeBudget(1.0), "--max-escape: 1 is no share"),
        (FalseCallBudget(0, "point"), "--max-false-calls: 0 is no share"),
        (LeastCost(0, 1, 0.1), "--cost-escape: 0 is not above 0"),
        (LeastCost(1, float("inf"), 0.1), "--cost-false-call: inf"),
        (LeastCost(1, 1, 1.5), "--defect-rate: 1.5 is no share"),
    ],
)
def test_what_makes_no_sense_is_refused(rule, line):
    with pytest.raises(UserError, match=line):
        choose_operating_point(SCORES, LABELS, rule)


def test_one_class_or_no_numbers_are_refused():
    with pytest.raises(UserError, match="all 700 samples are NonDefective"):
        choose_operating_point(SCORES[:700], LABELS[:700], BestF1())
    with pytest.raises(UserError, match="NaN"):
        choose_operating_point([np.nan, 1], [0, 1], EscapeBudget(0.5, "point"))
