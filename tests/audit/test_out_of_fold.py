"""Scores from a cue alone, on boards that its model has not seen."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ssl_pcb.audit.out_of_fold import SMOOTHING, Folds, make_folds, out_of_fold
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.errors import UserError

RNG = np.random.default_rng(0)
LABEL = (RNG.random(400) < 0.3).astype(int)
BOARD = np.repeat(np.arange(20), 20)
FOLDS = Folds(BOARD % 5, 5, "board")


def auroc(values, labels=LABEL, folds=FOLDS):
    return roc_auc_score(labels, out_of_fold(pd.DataFrame({"cue": values}), labels, folds, 0))


@pytest.mark.parametrize(
    "values",
    [LABEL + RNG.normal(0, 0.2, 400), -LABEL + RNG.normal(0, 0.2, 400), (1 - LABEL) * RNG.choice([-1.0, 1.0], 400)],
    ids=["higher", "lower", "in the middle"],
)
def test_a_cue_needs_no_direction(values):
    assert auroc(values) > 0.97


def test_noise_is_guessing():
    assert auroc(RNG.normal(size=400)) == pytest.approx(0.5, abs=0.1)
    assert auroc(RNG.choice(list("abcdef"), 400)) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("values", [np.ones(400), np.array(["x"] * 400)], ids=["number", "text"])
def test_what_is_always_the_same_tells_nothing_though_folds_differ_in_defects(values):
    labels = (RNG.random(400) < BOARD / 20).astype(int)
    assert auroc(values, labels) == 0.5


def test_what_tells_only_boards_apart_does_not_tell_the_label_of_another_board():
    labels = np.repeat(RNG.permutation(20) < 6, 20).astype(int)
    assert auroc(BOARD + 0.0, labels) < 0.75
    assert auroc(np.array([f"board {number}" for number in BOARD]), labels) == 0.5
    same_board = Folds(np.arange(400) % 5, 5, "image")
    assert auroc(np.array([f"board {number}" for number in BOARD]), labels, same_board) > 0.99


def test_rates_of_text_are_those_of_a_naive_count():
    values = RNG.choice(["a", "b", "rare"], 400, p=[0.6, 0.38, 0.02])
    found = out_of_fold(pd.DataFrame({"cue": values}), LABEL, FOLDS, 0)
    for row in range(400):
        told = FOLDS.of != FOLDS.of[row]
        share = LABEL[told].mean()
        weight = [0.5 / (1 - share), 0.5 / share]
        same = told & (values == values[row])
        defective = sum(weight[1] for label in LABEL[same] if label)
        clean = sum(weight[0] for label in LABEL[same] if not label)
        odds = (defective + SMOOTHING / 2) / (clean + SMOOTHING / 2)
        assert found[row] == pytest.approx(np.log(odds), abs=6e-4)


def test_several_columns_are_judged_together():
    first, second = RNG.choice([0.0, 1.0], (2, 400))
    either = ((first + second) == 1).astype(int)
    table = pd.DataFrame({"first": first, "second": np.where(second == 1, "yes", "no")})
    assert roc_auc_score(either, out_of_fold(table, either, FOLDS, 0)) > 0.99
    assert auroc(first, either) < 0.65


def manifest(groups, labels):
    rows = [
        {"path": f"{number}.png", "label": LABELS[int(label)], "group": group}
        for number, (group, label) in enumerate(zip(groups, labels, strict=True))
    ]
    return Manifest.build(rows, Path("."))


def test_no_board_stands_on_both_sides():
    found = make_folds(manifest([f"b{number}" for number in BOARD], LABEL), "m", 5, 0)
    assert (found.count, found.disjoint, found.why) == (5, "board", "")
    assert all(len(set(found.of[board == BOARD])) == 1 for board in range(20))


@pytest.mark.parametrize(
    ("group", "why"),
    [
        (lambda number: f"~{number // 2}", "names no real boards"),
        (lambda number: "", "names no real boards"),
        (lambda number: "b1", "1 board has samples of one of the labels"),
    ],
)
def test_without_boards_folds_are_by_image_and_say_so(group, why):
    groups = [group(number) for number in range(40)]
    found = make_folds(manifest(groups, np.arange(40) % 4 < 2), "m", 5, 0)
    assert found.disjoint == "image"
    assert why in found.why
    if groups[0].startswith("~"):  # near-duplicates stay together
        assert (found.of[::2] == found.of[1::2]).all()


def test_few_boards_make_few_folds():
    groups = [f"b{number // 4}" for number in range(24)]
    labels = [number < 12 and number % 2 for number in range(24)]  # three boards have defects
    assert make_folds(manifest(groups, labels), "m", 5, 0).count == 3


def test_a_single_defective_image_is_too_few():
    with pytest.raises(UserError, match=r"m: 1 image .* outside split .test. is Defective"):
        make_folds(manifest([""] * 10, [1] + [0] * 9), "m", 5, 0)
