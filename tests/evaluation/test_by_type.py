import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ssl_pcb.evaluation.by_type import by_type


def test_each_type_is_judged_against_all_good_samples():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], [80, 60])
    types = np.array([""] * 80 + ["open"] * 20 + ["short;open"] * 20 + [""] * 20)
    scores = generator.normal(size=140) + np.where(np.char.find(types, "short") >= 0, 3, 0)
    found = by_type(scores, labels, 0.5, types.tolist())
    assert list(found) == ["open", "short"]
    for name, rows in (("open", np.r_[0:120]), ("short", np.r_[0:80, 100:120])):
        assert found[name]["n"] == len(rows) - 80
        assert found[name]["auroc"] == pytest.approx(roc_auc_score(labels[rows], scores[rows]))
        assert found[name]["escape_rate"] == pytest.approx((scores[rows][80:] < 0.5).mean())


def test_what_is_undefined_is_none_and_a_type_of_no_defective_sample_is_left_out():
    assert by_type([1.0, 2.0], [1, 1], 0, ["open", ""])["open"]["auroc"] is None
    assert by_type([1.0, 2.0], [0, 1], 0, ["open", ""]) == {}
    assert by_type([1.0, 2.0], [0, 1], 0, ["", ""]) == {}
