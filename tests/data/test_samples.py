"""Samples: the fingerprint of the data, rows of splits, and what a supervised stage needs."""

import hashlib
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data import fingerprint
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Six images: two of each split; the fourth unlabelled."""
    folder = tmp_path / "first"
    folder.mkdir()
    rows = []
    for index, split in enumerate(("train", "train", "val", "val", "test", "test")):
        Image.new("L", (32, 32), 40 * index).save(folder / f"{index}.png")
        label = "" if index == 3 else ("Defective", "NonDefective")[index % 2]
        row = {"path": f"{index}.png", "label": label, "group": f"b{index // 2}", "split": split}
        rows.append(row | {"crop": "0 0 16 16"})
    Manifest.build(rows, folder).write(folder / "m.csv")
    return folder


def load(folder, **keys):
    return load_samples(DataConfig(manifest=folder / "m.csv", image_size=32, cache=folder.parent / "cache", **keys))[0]


def prints(folder):
    samples = load(folder)
    return samples.fingerprint(labels=True), samples.fingerprint(labels=False)


def edit(folder, column, value, row=0):
    frame = pd.read_csv(folder / "m.csv", dtype=str, keep_default_na=False)
    frame.loc[row, column] = value
    frame.to_csv(folder / "m.csv", index=False)


def test_the_fingerprint_does_not_depend_on_the_folder_or_the_order(folder):
    before = prints(folder)
    moved = shutil.copytree(folder, folder.parent / "second")
    (moved / "0.png").rename(moved / "zero.png")
    edit(moved, "path", "zero.png")
    frame = pd.read_csv(moved / "m.csv", dtype=str, keep_default_na=False)
    frame.iloc[::-1].to_csv(moved / "m.csv", index=False)
    assert prints(moved) == before


@pytest.mark.parametrize(("column", "value"), [("crop", "0 0 16 17"), ("group", "b9"), ("split", "")])
def test_the_fingerprint_changes_with_the_samples(folder, column, value):
    before = prints(folder)
    edit(folder, column, value)
    after = prints(folder)
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_a_label_changes_only_the_fingerprint_that_has_labels(folder):
    before = prints(folder)
    edit(folder, "label", "NonDefective")
    after = prints(folder)
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_content_changes_the_fingerprint(folder):
    before = prints(folder)
    Image.new("L", (32, 32), 201).save(folder / "0.png")
    assert prints(folder)[1] != before[1]


def test_the_fingerprint_is_that_of_all_sorted_lines(folder, monkeypatch):
    """It is made in runs of lines, as all of them at once could fill the memory."""
    frame = pd.read_csv(folder / "m.csv", dtype=str, keep_default_na=False)
    frame = pd.concat([frame, frame.iloc[:3].assign(crop="4 4 20 20")])  # some files have two samples
    frame.to_csv(folder / "m.csv", index=False)
    lines = [
        "\t".join([hashlib.sha256((folder / row.path).read_bytes()).hexdigest()[:32], row.crop, row.group, row.split])
        for row in frame.itertuples()
    ]
    expected = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:24]
    assert load(folder).fingerprint(labels=False) == expected
    monkeypatch.setattr(fingerprint, "_runs", partial(fingerprint._runs, at_once=2))
    assert load(folder).fingerprint(labels=False) == expected


def test_rows_of_splits(folder):
    samples = load(folder)
    assert samples.rows("train", "val").tolist() == [0, 1, 2, 3]
    assert samples.rows("val", labelled=True).tolist() == [2]
    assert samples.labels.tolist() == [1, 0, 1, -1, 1, 0]
    assert samples.column("group", np.array([2, 5])) == ["b1", "b2"]
    assert samples.unit == "tile"


def test_unreadable_images_are_in_no_split(folder):
    (folder / "0.png").write_bytes(b"")
    samples = load(folder, skip_bad=True)
    assert samples.rows("train").tolist() == [1]
    assert samples.describe()["skipped"] == 1
    batch = samples.pixels(samples.rows("train", "val"))[0]
    assert batch.labels.tolist() == [0]
    assert (batch.inputs == 40).all()


def test_supervised_needs_both_classes(folder):
    samples = load(folder)
    assert samples.supervised("train").tolist() == [0, 1]
    with pytest.raises(UserError, match="split 'val' has only Defective samples"):
        samples.supervised("val")
    with pytest.raises(UserError, match="split 'holdout' has no labelled samples"):
        samples.supervised("holdout")


def test_describe_counts_each_split(folder):
    found = load(folder).describe()
    assert found["splits"]["val"] == {"samples": 2, "Defective": 1, "NonDefective": 0, "groups": 1}
    assert found["board_disjoint"] is True


def test_the_least_side_is_that_of_training_samples_as_they_are_cut(folder):
    assert load(folder).describe()["least_side"] == 16
    assert load(folder).describe()["most_side"] == load(folder).most_side >= 16
    edit(folder, "crop", "0 0 9 30", row=2)  # of validation
    assert load(folder).least_side == 16
    edit(folder, "crop", "0 0 30 12", row=1)
    assert load(folder).least_side == 12
    for row in (0, 1):
        edit(folder, "split", "val", row)
    assert load(folder).least_side is load(folder).most_side is None


def test_the_least_side_of_whole_images_is_theirs(folder):
    for row in range(6):
        edit(folder, "crop", "", row)
    Image.new("L", (50, 20)).save(folder / "1.png")
    assert load(folder).least_side == 20
    assert load(folder).most_side == 50
