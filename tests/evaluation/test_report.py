import json

import numpy as np
import pytest

from ssl_pcb.evaluation.metrics import classification_metrics
from ssl_pcb.evaluation.report import evaluate_scores, format_report


def report(scores, labels, images=None, **kwargs):
    images = [str(n) for n in range(len(scores))] if images is None else images
    return evaluate_scores(scores, labels, 0.5, [""] * len(scores), images, resamples=200, **kwargs)


def strict(found):
    return json.loads(json.dumps(found, allow_nan=False))


def test_report_holds_each_metric_inside_its_interval_and_survives_json():
    generator = np.random.default_rng(0)
    labels = (generator.random(300) < 0.4).astype(int)
    scores = generator.normal(labels, 1)
    found = report(scores, labels)
    assert strict(found) == found
    expected = classification_metrics(scores, labels, 0.5)
    for name, entry in found["metrics"].items():
        assert entry["value"] == expected[name]
        assert entry["low"] < entry["value"] < entry["high"], name
    assert found["confusion"] == expected["confusion"]
    assert (found["n"], found["n_defective"]) == (300, labels.sum())
    assert found["interval"]["over"] == "source image"
    assert found["interval"]["clusters"] == 300


def last_line(labels, images):
    scores = np.random.default_rng(0).random(len(labels))
    return format_report(report(scores, labels, images))[-1]


def test_intervals_over_few_source_images_are_said_to_be_too_narrow_whichever_class_these_are_of():
    many = [f"good {n}" for n in range(400)]
    defective = [f"bad {n % 3}" for n in range(60)]
    assert last_line([0] * 400 + [1] * 60, many + defective).endswith("; too narrow, for only 3 hold Defective samples")
    assert last_line([1] * 400 + [0] * 60, many + defective).endswith(
        "; too narrow, for only 3 hold NonDefective samples"
    )
    both = last_line([0, 1] * 50, [f"{n // 2 % 19}" for n in range(100)])
    assert both.endswith("; too narrow, for only 19 hold NonDefective and 19 hold Defective samples")
    assert "narrow" not in last_line([0, 1] * 50, [f"{n // 2 % 20}" for n in range(100)])


def test_undefined_numbers_are_none_with_a_reason():
    found = strict(report([0.1, 0.2, 0.3], [0, 0, 0]))
    assert found["metrics"]["escape_rate"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "no sample is Defective",
    }
    assert (found["metrics"]["false_call_rate"]["value"], found["metrics"]["false_call_rate"]["low"]) == (0, 0)
    found = strict(report([0.1, 0.9], [0, 1], images=["a", "a"]))
    assert found["metrics"]["auroc"]["value"] == 1.0
    assert "one source image" in found["metrics"]["auroc"]["reason"]


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0, 0]])
def test_every_line_with_a_rate_names_its_unit(labels):
    lines = format_report(report([0.1, 0.2, 0.3, 0.9], labels, unit="panel"))
    assert len(lines) <= 8
    for line in lines[:-1]:
        assert "panel" in line
    assert "4 source images" in lines[-1]


def test_lines_state_the_counts_and_the_missing_interval():
    lines = "\n".join(format_report(report([0.1, 0.7, 0.3, 0.9], [0, 0, 1, 1], images=["a"] * 4)))
    assert "1 Defective caught, 1 escaped, 1 NonDefective passed, 1 false calls" in lines
    assert "escape rate 0.500 of Defective tiles" in lines
    assert "no intervals: one source image only" in lines


def test_no_escape_among_few_is_no_certainty():
    """0 of 10 images: the exact 95 % interval ends at 1 - 0.025 ** (1 / 10); tiles of one image count once."""
    scores = np.r_[np.ones(20), np.zeros(20)]
    labels = np.r_[np.ones(20, int), np.zeros(20, int)]
    images = [f"d{i // 2}" for i in range(20)] + [f"g{i}" for i in range(20)]
    metrics = evaluate_scores(scores, labels, 0.5, [""] * 40, images)["metrics"]
    assert (metrics["escape_rate"]["value"], metrics["escape_rate"]["low"]) == (0, 0)
    assert metrics["escape_rate"]["high"] == pytest.approx(1 - 0.025 ** (1 / 10))
    assert metrics["recall_defective"]["low"] == pytest.approx(0.025 ** (1 / 10))
    assert metrics["false_call_rate"]["high"] == pytest.approx(1 - 0.025 ** (1 / 20))
