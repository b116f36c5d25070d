"""Three verdicts."""

import pytest

from ssl_pcb.decision.verdicts import ThreeWay, at_defect_rate
from ssl_pcb.errors import UserError


def test_what_lies_between_the_thresholds_goes_to_a_person():
    assert ThreeWay(-1, 1).verdicts([-2, -1, 0, 1, 2]).tolist() == ["OK", "REVIEW", "REVIEW", "NG", "NG"]
    assert ThreeWay(1, 1).verdicts([0, 1, 2]).tolist() == ["OK", "NG", "NG"]


def test_what_is_unfamiliar_is_looked_at_unless_it_is_stopped_anyway():
    found = ThreeWay(0, 1).verdicts([-1, -1, 0.5, 2], [False, True, True, True])
    assert found.tolist() == ["OK", "REVIEW", "REVIEW", "NG"]


def test_budgets_that_one_threshold_keeps_leave_nothing_to_review():
    assert ThreeWay.of_budgets(escapes=0.5, false_calls=2) == ThreeWay(0.5, 2)
    assert ThreeWay.of_budgets(escapes=2, false_calls=0.5) == ThreeWay(2, 2)


@pytest.mark.parametrize("pair", [(1, 0), (float("nan"), 1), (0, float("inf"))])
def test_thresholds_that_are_none_are_refused(pair):
    with pytest.raises(UserError, match="thresholds"):
        ThreeWay(*pair)


def test_a_load_at_the_fields_rate():
    assert at_defect_rate((0.1, 0.6), 0.01) == pytest.approx(0.105)
