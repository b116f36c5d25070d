import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from ssl_pcb.decision.thresholds import candidate_thresholds, choose_threshold, decide
from ssl_pcb.errors import UserError

SCORED = st.lists(
    st.tuples(st.integers(-5, 5).map(lambda n: n / 3), st.integers(0, 1)), min_size=2, max_size=30
).filter(lambda rows: len({label for _, label in rows}) == 2)


def naive_choice(scores, labels, quality):
    """Try each candidate in ascending order and keep the first of the best."""
    best, chosen = -1.0, None
    for threshold in candidate_thresholds(scores):
        value = quality(labels, scores >= threshold)
        if value > best + 1e-12:
            best, chosen = value, threshold
    return chosen


@settings(max_examples=60, deadline=None)
@given(SCORED)
def test_choice_equals_trying_every_threshold(rows):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    assert choose_threshold(scores, labels, "balanced_accuracy") == naive_choice(
        scores, labels, balanced_accuracy_score
    )
    assert choose_threshold(scores, labels, "f1") == naive_choice(
        scores, labels, lambda y, p: f1_score(y, p, zero_division=0)
    )


def test_candidates_lie_midway_and_beyond_both_ends():
    assert candidate_thresholds([0.5, 0.1, 0.5, 0.3]).tolist()[1:3] == pytest.approx([0.2, 0.4])
    low, _, _, high = candidate_thresholds([0.5, 0.1, 0.3])
    assert low < 0.1
    assert 0.5 < high < np.inf


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e20])
def test_each_candidate_splits_differently_even_between_adjacent_floats(scale):
    first = np.float64(scale)
    scores = np.array([first, np.nextafter(first, np.inf), 2 * first, -first])
    calls = [int(decide(scores, threshold).sum()) for threshold in candidate_thresholds(scores)]
    assert calls == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("objective", ["balanced_accuracy", "f1"])
def test_classes_parted_by_adjacent_floats_are_told_apart(objective):
    scores = np.array([0.2, 0.3, np.nextafter(0.3, 1)])
    assert decide(scores, choose_threshold(scores, [0, 0, 1], objective)).tolist() == [False, False, True]


def test_equal_quality_goes_to_the_lower_threshold():
    # Catching the low defect costs the one false call: balanced accuracy 0.75 either way.
    scores, labels = [0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1]
    assert choose_threshold(scores, labels, "balanced_accuracy") == pytest.approx(0.15)


def test_verdicts_do_not_depend_on_the_precision_of_the_scores():
    """Beside float32 scores numpy rounds a Python number to float32, which would flip this one."""
    score = np.float32(0.1)
    threshold = float(score) + 1e-10
    assert not decide(np.array([score]), threshold)[0]


def test_a_score_on_the_threshold_is_defective():
    assert decide([0.5, 0.49], 0.5).tolist() == [True, False]


@pytest.mark.parametrize(
    ("scores", "labels", "names"),
    [
        ([0.1, np.nan], [0, 1], "row 2"),
        ([0.1, np.inf], [0, 1], "row 2"),
        ([0.1, 0.2], [1, 1], "all 2 samples are Defective"),
        ([0.1, 0.2], [0, 0], "all 2 samples are NonDefective"),
        ([0.1, 0.2], [0, -1], "row 2 has class -1"),
        ([], [], "none"),
    ],
)
def test_unusable_scores_are_refused_by_name(scores, labels, names):
    with pytest.raises(UserError, match=names):
        choose_threshold(scores, labels, "f1")


def test_a_nan_threshold_is_refused():
    with pytest.raises(UserError, match="threshold"):
        decide([0.1], np.nan)
