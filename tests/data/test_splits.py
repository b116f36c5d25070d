from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.splits import describe_splits, split_manifest
from ssl_pcb.errors import UserError


def boards(count: int, images: int = 20, tiles: int = 3, seed: int = 0, prefix: str = "b", **columns) -> Manifest:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "path": f"{prefix}{board}_{image}.png",
            "group": f"{prefix}{board}",
            "label": "Defective" if rng.random() < 0.1 + 0.5 * (board % 3 == 0) else "NonDefective",
            "crop": f"{tile} 0 {tile + 1} 1",
            **columns,
        }
        for board in range(count)
        for image in range(int(images * rng.uniform(0.5, 1.5)))
        for tile in range(tiles)
    ]
    return Manifest.build(rows, root=Path("."))


def splits_of(manifest: Manifest, column: str) -> pd.Series:
    sides = manifest.frame["split"]
    if column == "group":
        sides = sides.replace("holdout", "train")
    return sides.groupby(manifest.frame[column]).nunique()


@pytest.mark.parametrize("count", [3, 8, 30, 300])
@pytest.mark.parametrize("seed", [0, 1])
def test_boards_stay_on_one_side_and_shares_are_met(count, seed):
    manifest = boards(count, seed=seed)
    result = split_manifest(manifest, seed=seed)
    assert splits_of(result, "group").eq(1).all()
    assert splits_of(result, "path").eq(1).all()
    assert set(result.frame["split"]) == {"train", "val", "test", "holdout"}
    if count >= 30:
        for _, rows in (("all", result.frame), *result.frame.groupby("label")):
            shares = rows["split"].replace("holdout", "train").value_counts(normalize=True)
            assert abs(shares["train"] - 0.6) < 0.05
            assert abs(shares["test"] - 0.2) < 0.05


def test_the_seed_decides():
    manifest = boards(30)
    same = [split_manifest(manifest, seed=seed).frame["split"] for seed in (0, 0, 1)]
    assert same[0].equals(same[1])
    assert not same[0].equals(same[2])


def test_holdout_is_a_share_of_the_images_of_every_training_board():
    result = split_manifest(boards(6, images=40), holdout=0.1)
    train = result.split("train", "holdout").frame
    held = result.split("holdout").frame
    assert held["path"].nunique() == round(0.1 * train["path"].nunique())
    assert set(held["group"]) == set(train["group"])
    assert "holdout" not in set(split_manifest(boards(6), holdout=0).frame["split"])


def test_a_template_goes_with_its_tested_image_and_a_stand_in_group_stays_whole():
    manifest = boards(6, images=40, tiles=1)
    pairs = manifest.frame.assign(place=[str(i // 2) for i in range(len(manifest))])
    result = split_manifest(Manifest.build(pairs, manifest.root), holdout=0.3)
    together = result.frame.groupby(["group", "place"])["split"].nunique()
    assert together.eq(1).all()
    stand_ins = split_manifest(boards(60, images=4, prefix="~"), holdout=0.3)
    assert stand_ins.frame["split"].groupby(stand_ins.frame["group"]).nunique().eq(1).all()
    assert "holdout" in set(stand_ins.frame["split"])


def test_assigned_boards_and_faults_in_assigning():
    manifest = boards(5)
    result = split_manifest(manifest, assign={"train": ["b0", "b1"], "val": ["b2"], "test": ["b3"]}, holdout=0)
    sides = result.frame.groupby("group")["split"].first().to_dict()
    assert sides == {"b0": "train", "b1": "train", "b2": "val", "b3": "test", "b4": ""}
    for wrong, words in (
        ({"train": ["b9"]}, "'b9' is not in the manifest"),
        ({"train": ["b0"], "test": ["b0"]}, "'b0' is assigned twice"),
        ({"training": ["b0"]}, "'training' is not one of"),
    ):
        with pytest.raises(UserError, match=words):
            split_manifest(manifest, assign=wrong)


def test_too_few_boards_and_missing_groups_name_the_mend():
    with pytest.raises(UserError, match="--group-from"):
        split_manifest(boards(2))
    assert set(split_manifest(boards(2), ratios=(0.8, 0, 0.2), holdout=0).frame["split"]) == {"train", "test"}
    nameless = boards(5)
    nameless.frame.loc[7, "group"] = ""
    with pytest.raises(UserError, match=r"row 8 has no group.*--group-from"):
        split_manifest(nameless)


@pytest.mark.parametrize("ratios", [(0, 0.5, 0.5), (1, -1, 1), (1, float("nan"), 0)])
def test_impossible_ratios(ratios):
    with pytest.raises(UserError, match="ratios"):
        split_manifest(boards(5), ratios=ratios)


def test_the_table_counts_and_says_what_is_not_board_disjoint():
    manifest = split_manifest(boards(5), holdout=0)
    row = next(line for line in describe_splits(manifest).splitlines() if line.startswith("test")).split()
    test = manifest.split("test").frame
    positive = test["label"].eq("Defective").sum()
    assert [int(cell) for cell in row[1:]] == [
        test["path"].nunique(), len(test), positive, 0, test["group"].nunique()
    ]  # fmt: skip
    assert "not board-disjoint" not in describe_splits(manifest)
    assert "not board-disjoint" in describe_splits(boards(5, prefix="~"))


@pytest.mark.parametrize("seed", range(10))
def test_holdout_has_each_label_in_proportion_whatever_the_size_of_the_boards(seed):
    """Boards of 10 images, 5 of each label, and every tenth image held out."""
    rows = [
        {"path": f"{board}-{image}.png", "group": f"b{board}", "label": ("Defective", "NonDefective")[image % 2]}
        for board in range(8)
        for image in range(10)
    ]
    boards = {"train": [f"b{board}" for board in range(6)], "val": ["b6"], "test": ["b7"]}
    held = split_manifest(Manifest.build(rows, Path(".")), assign=boards, seed=seed).split("holdout").frame
    assert held["label"].value_counts().to_dict() == {"Defective": 3, "NonDefective": 3}


def test_holdout_is_drawn_anew_by_each_seed():
    manifest = boards(6, images=40)
    groups = sorted(set(manifest.frame["group"]))
    sides = {"train": groups[:4], "val": groups[4:5], "test": groups[5:]}
    held = [
        frozenset(split_manifest(manifest, assign=sides, seed=seed).split("holdout").frame["path"])
        for seed in (0, 0, 1, 2)
    ]
    assert held[0] == held[1]
    assert len(set(held)) == 3


def test_an_image_of_two_groups_is_refused_and_named():
    rows = [{"path": f"{i}.png", "group": f"b{i}"} for i in range(5)] + [{"path": "3.png", "group": "other"}]
    with pytest.raises(UserError, match=r"image '3\.png' has rows of groups b3, other"):
        split_manifest(Manifest.build(rows, Path(".")))
