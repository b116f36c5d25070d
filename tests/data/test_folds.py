"""Folds: everything judges once, nothing stands on both sides, and what cannot be folded is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssl_pcb.data.choosing import choose_training_rows
from ssl_pcb.data.folds import fold_manifests
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError


def boards(**columns):
    """Seven boards of 12 images with 2 tiles each, a quarter of them Defective; board 6 is of split test."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "path": f"b{board}/{image}.png", "crop": f"{32 * tile} 0 {32 * tile + 32} 32", "group": f"b{board}",
            "label": "Defective" if rng.random() < 0.25 else "NonDefective",
            "split": "test" if board == 6 else "train" if board < 4 else "val",
        }
        for board in range(7) for image in range(12) for tile in range(2)
    ]  # fmt: skip
    return Manifest.build(pd.DataFrame(rows).assign(**columns), Path("/nowhere"))


def folds_of(manifest, folds=3, disjoint="board", seed=0):
    return [part.frame for part in fold_manifests(manifest, "m.csv", folds, disjoint, seed)]


@pytest.mark.parametrize("disjoint", ["board", "image"])
@pytest.mark.parametrize("folds", [2, 3])
def test_everything_but_the_test_boards_judges_once_and_learns_in_all_other_folds(disjoint, folds):
    manifest = boards()
    splits = np.stack([part["split"] for part in folds_of(manifest, folds, disjoint)])
    test = manifest.frame["split"].eq("test").to_numpy()
    assert (splits[:, test] == "test").all()
    assert ((splits == "val").sum(0)[~test] == 1).all()
    assert ((splits == "train").sum(0)[~test] == folds - 1).all()


def test_no_board_is_on_both_sides():
    for part in folds_of(boards()):
        sides = part[part["split"].ne("")].groupby("group")["split"].nunique()
        assert sides.max() == 1


def test_unlabelled_images_of_test_boards_are_never_free_to_learn_from():
    manifest = boards()
    frame = manifest.frame
    unlabelled = frame["group"].eq("b6") & (frame.index % 2 == 0)
    frame = frame.assign(label=frame["label"].mask(unlabelled, ""), split=frame["split"].mask(unlabelled, ""))
    readable, copies = np.full(len(frame), True), np.full(len(frame), False)
    for part in fold_manifests(Manifest.build(frame, manifest.root), "m.csv", 3, "board", 0):
        rows = choose_training_rows(part, "m.csv", use_unsplit=True, readable=readable, copies=copies)
        assert "b6" not in set(part.frame["group"].iloc[rows])


def test_no_image_is_on_both_sides_and_nothing_passes_for_board_disjoint():
    for part in fold_manifests(boards(), "m.csv", 3, "image", 0):
        known = part.frame[part.frame["split"].ne("")]
        assert known.groupby("path")["split"].nunique().max() == 1
        assert known[known["split"].eq("val")]["path"].str[:2].nunique() == 6  # of every board some
        assert not part.board_disjoint


def test_folds_are_stratified():
    manifest = boards()
    shares = [part[part["split"].eq("val")]["label"].eq("Defective").mean() for part in folds_of(manifest, 3, "image")]
    whole = manifest.frame[manifest.frame["split"].ne("test")]["label"].eq("Defective").mean()
    assert shares == pytest.approx([whole] * 3, abs=0.03)


def test_unlabelled_images_of_training_boards_are_there_to_learn_from():
    manifest = boards()
    unlabelled = manifest.frame.index % 5 == 0
    frame = manifest.frame.assign(label=manifest.frame["label"].where(~unlabelled, ""))
    for part in folds_of(Manifest.build(frame, manifest.root)):
        judged = set(part["group"][part["split"].eq("val")])
        learned = part[unlabelled & part["split"].eq("train")]
        assert len(learned)
        assert not set(learned["group"]) & (judged | {"b6"})
        assert not (unlabelled & part["split"].eq("val")).any()


def test_the_seed_decides_and_nothing_else():
    first, again, other = (folds_of(boards(), 3, "image", seed) for seed in (0, 0, 1))
    assert all(one["split"].equals(two["split"]) for one, two in zip(first, again, strict=True))
    assert not all(one["split"].equals(two["split"]) for one, two in zip(first, other, strict=True))


def refusal(manifest, **keys):
    with pytest.raises(UserError) as refused:
        folds_of(manifest, **keys)
    return str(refused.value)


def test_more_folds_than_boards_of_a_class_are_refused():
    frame = boards().frame
    one_board = frame.assign(label=np.where(frame["group"].isin(["b1", "b2"]), frame["label"], "NonDefective"))
    line = refusal(Manifest.build(one_board, Path("/nowhere")), folds=3)
    assert "there are 2" in line
    assert "fewer --folds, or set disjoint=image" in line


def test_a_fold_with_one_class_is_refused():
    # Two boards have both classes; the others' good samples leave them in one fold.
    counts = {"a": (1, 48), "b": (9, 76), "c": (0, 38), "d": (0, 182)}
    rows = [
        {"path": f"{board}{number}.png", "group": board, "label": "Defective" if number < defective else "NonDefective"}
        for board, (defective, good) in counts.items()
        for number in range(defective + good)
    ]
    line = refusal(Manifest.build(rows, Path("/nowhere")), folds=2)
    assert "of 2 has no Defective samples; take fewer --folds, or another --seed" in line


def test_rows_without_a_board_are_refused_unless_images_are_folded():
    lost = boards(group="")
    assert "disjoint=image" in refusal(lost)
    assert len(folds_of(lost, disjoint="image")) == 3
