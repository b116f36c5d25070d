import numpy as np
import pytest
from sklearn import metrics as reference

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.metrics import AT_ESCAPE, UNDEFINED, brier_score, classification_metrics


def test_every_metric_equals_scikit_learn():
    generator = np.random.default_rng(1)
    labels = (generator.random(400) < 0.3).astype(int)
    scores = np.round(generator.normal(labels, 1.0), 1)  # rounded, so that there are ties
    called = scores >= 0.6
    found = classification_metrics(scores, labels, 0.6)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(labels, called)
    expected = {
        "accuracy": reference.accuracy_score(labels, called),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, called),
        "precision_nondefective": precision[0],
        "recall_nondefective": recall[0],
        "f1_nondefective": f1[0],
        "precision_defective": precision[1],
        "recall_defective": recall[1],
        "f1_defective": f1[1],
        "escape_rate": 1 - recall[1],
        "false_call_rate": 1 - recall[0],
        "prevalence": labels.mean(),
        "auroc": reference.roc_auc_score(labels, scores),
        "average_precision": reference.average_precision_score(labels, scores),
    }
    rates = {name: value for name, value in found.items() if isinstance(value, float) and name not in AT_ESCAPE}
    assert rates == pytest.approx(expected, abs=1e-12)
    assert found["confusion"] == reference.confusion_matrix(labels, called).tolist()
    assert found["n"] == 400


def test_confusion_rows_are_true_classes_and_columns_verdicts():
    found = classification_metrics([0.9, 0.1, 0.2, 0.8, 0.7, 0.6], [1, 1, 1, 0, 0, 1], 0.5)
    assert found["confusion"] == [[0, 2], [2, 2]]
    assert found["confusion_labels"] == ["NonDefective", "Defective"]
    assert found["escape_rate"] == 0.5  # 2 of 4 defects
    assert found["false_call_rate"] == 1.0


@pytest.mark.parametrize(("label", "threshold"), [(0, 9.0), (1, 9.0), (0, -9.0), (1, -9.0)])
def test_an_undefined_rate_is_nan_and_has_a_reason(label, threshold):
    found = classification_metrics([0.1, 0.2], [label, label], threshold)
    undefined = {name for name, value in found.items() if isinstance(value, float) and np.isnan(value)}
    assert {"auroc", "balanced_accuracy"} <= undefined <= set(UNDEFINED) | {"average_precision"}


def test_false_calls_at_an_escape_rate_are_those_of_the_strictest_threshold_that_keeps_it():
    generator = np.random.default_rng(4)
    labels = (generator.random(400) < 0.3).astype(int)
    scores = np.round(labels + generator.normal(0, 1, 400), 1)
    found = classification_metrics(scores, labels, 0.5)
    for name, escape in (("false_call_rate_at_5_escape", 0.05), ("false_call_rate_at_1_escape", 0.01)):
        kept = [t for t in scores if (scores[labels == 1] < t).mean() <= escape]
        assert found[name] == pytest.approx((scores[labels == 0] >= max(kept)).mean())


def test_one_escape_in_twenty_is_five_percent():
    scores, labels = np.r_[np.arange(20), 0.5], np.r_[np.ones(20, int), 0]
    assert classification_metrics(scores, labels, 0)["false_call_rate_at_5_escape"] == 0
    assert classification_metrics(scores, labels, 0)["false_call_rate_at_1_escape"] == 1


def test_brier_score_of_a_hand_worked_case():
    assert brier_score([0.9, 0.2], [1, 0]) == pytest.approx((0.01 + 0.04) / 2)


def test_unlabelled_samples_are_refused():
    with pytest.raises(UserError, match="unlabelled"):
        classification_metrics([0.1, 0.2], [0, -1], 0.5)
