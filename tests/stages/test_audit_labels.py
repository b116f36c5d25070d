"""``ssl-pcb audit labels`` and ``next`` from end to end, and what they leave to ``ssl-pcb data relabel``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest

SMALL = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu",
}  # fmt: skip
FLIPPED = 6
UNLABELLED = 20
OTHER = {"Defective": "NonDefective", "NonDefective": "Defective"}


@pytest.fixture(scope="module")
def truth(synthetic_boards):
    """The labels before anything was planted."""
    return Manifest.read(synthetic_boards).frame["label"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, synthetic_boards, truth):
    """A working folder: ``m.csv`` with planted flips, ``cv`` on it, ``pre``, and ``few.csv`` with few labels."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        manifest = Manifest.read(synthetic_boards)
        frame = manifest.frame.copy()
        judged = frame.index[frame["split"].ne("test")]
        rows = np.random.default_rng(0).permutation(judged)[:FLIPPED]
        frame.loc[rows, "label"] = frame.loc[rows, "label"].map(
            {"Defective": "NonDefective", "NonDefective": "Defective"}
        )
        Manifest.build(frame, manifest.root).write("m.csv")
        hidden = manifest.frame.copy()
        hidden.loc[hidden.index[hidden["split"].eq("train")][:UNLABELLED], "label"] = ""
        hidden.loc[hidden.index[hidden["split"].eq("val")][:1], "label"] = ""
        Manifest.build(hidden, manifest.root).write("few.csv")
        run_stage("crossval", None, SMALL | {"resamples": 100, "folds": 2, "runtime.out": "cv"}, resume=False)
        pretrain = {"method.hidden_dim": 16, "method.output_dim": 8, "runtime.out": "pre"}
        run_stage("pretrain", None, SMALL | pretrain, resume=False)
        yield folder


@pytest.fixture
def sure(workplace, truth, tmp_path):
    """The cross-validation, as if its networks were good: they see through most of the planted flips."""
    run = shutil.copytree("cv", tmp_path / "sure")
    frame = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    logits = np.where(truth[frame["row"]].eq("Defective"), 2.5, -2.5) + np.random.default_rng(1).normal(
        0, 1, len(frame)
    )
    frame.assign(probability=1 / (1 + np.exp(-logits))).to_csv(run / "predictions.csv", index=False)
    return run


def planted(truth):
    frame = Manifest.read("m.csv").frame
    return set(frame.index[frame["label"].ne(truth)])


def read(folder, name):
    return pd.read_csv(Path(folder) / name, keep_default_na=False)


def test_planted_flips_are_found_named_and_put_right(ssl_pcb_cli, sure, truth, tmp_path):
    out = tmp_path / "audit"
    ended = ssl_pcb_cli("audit", "labels", "m.csv", "--run", sure, "--out", out, "--device", "cpu")
    assert ended.code == 1, ended.err
    suspects = read(out, "suspects.csv")
    assert planted(truth) == set(suspects["row"][:FLIPPED])
    assert (np.diff(suspects["suspicion"]) <= 0).all()
    result = json.loads((out / "audit.json").read_text())
    (finding,) = result["findings"]
    assert (result["audit"], result["passed"]) == ("labels", False)
    assert finding["value"] == pytest.approx(len(suspects) / 60)
    assert len(finding["samples"]) == len(suspects) == result["facts"]["suspects"]
    assert f"{len(suspects)} of 60 labelled images are suspected" in ended.out

    suspects.loc[: FLIPPED - 1, "label"] = suspects["suggested_label"]
    suspects.to_csv(tmp_path / "decided.csv", index=False)
    ended = ssl_pcb_cli(
        "data", "relabel", "m.csv", tmp_path / "decided.csv", "--out", tmp_path / "n.csv", "--by", "Zoë"
    )
    assert ended.code == 0, ended.err
    mended = Manifest.read(tmp_path / "n.csv").frame
    assert mended["label"].tolist() == truth.tolist()
    assert set(mended.index[mended["relabelled_by"].eq("Zoë")]) == planted(truth)


@pytest.mark.parametrize("features", [(), ("--features", "pre")], ids=["folds", "pretraining"])
def test_each_row_says_what_it_was_found_by(ssl_pcb_cli, sure, tmp_path, features):
    out = tmp_path / "audit"
    ended = ssl_pcb_cli("audit", "labels", "m.csv", "--run", sure, "--out", out, "--device", "cpu", *features)
    assert ended.code == 1, ended.err
    frame, suspects = Manifest.read("m.csv").frame, read(out, "suspects.csv")
    predictions = read(sure, "predictions.csv").set_index("row")
    weight = json.loads((out / "audit.json").read_text())["facts"]["weight_of_neighbours"]
    for suspect in suspects.itertuples():
        sample = frame.iloc[suspect.row]
        assert (suspect.path, suspect.crop, suspect.label, suspect.label_before) == (
            sample["path"], sample["crop"], sample["label"], sample["label"],
        )  # fmt: skip
        assert suspect.suggested_label != suspect.label
        assert suspect.probability == pytest.approx(predictions["probability"][suspect.row], rel=1e-4)
        against = suspect.probability if suspect.label == "NonDefective" else 1 - suspect.probability
        mixed = (1 - weight) * against + weight * suspect.neighbour_disagreement
        assert suspect.suspicion == pytest.approx(mixed, abs=1e-4)
        rows = [int(row) for row in suspect.neighbour_rows.split()]
        assert suspect.row not in rows
        assert frame["label"].iloc[rows].tolist() == suspect.neighbour_labels.split()
        assert "test" not in set(frame["split"].iloc[rows])
    with Image.open(out / "suspects.png") as sheet:
        assert sheet.height > 128 * min(len(suspects), 20)


def test_up_to_the_limit_it_passes(ssl_pcb_cli, sure, tmp_path):
    out = tmp_path / "audit"
    ended = ssl_pcb_cli("audit", "labels", "m.csv", "--run", sure, "--out", out, "--limit", 0.5, "--device", "cpu")
    assert ended.code == 0, ended.err
    result = json.loads((out / "audit.json").read_text())
    assert (result["passed"], result["findings"]) == (True, [])
    assert len(read(out, "suspects.csv")) == result["facts"]["suspects"] > 0


def test_where_there_are_no_suspects_there_is_no_picture(ssl_pcb_cli, sure, tmp_path):
    frame = read(sure, "predictions.csv")
    frame["probability"] = np.where(frame["label"].eq("Defective"), 0.9, 0.1)
    frame.to_csv(sure / "predictions.csv", index=False)
    out = tmp_path / "audit"
    ended = ssl_pcb_cli("audit", "labels", "m.csv", "--run", sure, "--out", out, "--device", "cpu")
    assert ended.code == 0, ended.err
    assert sorted(file.name for file in out.iterdir()) == ["audit.json", "suspects.csv"]


def manifest_with(change, name):
    manifest = Manifest.read("m.csv")
    frame = manifest.frame.copy()
    Manifest.build(change(frame), manifest.root).write(name)
    return name


def one_label_more(frame):
    frame.loc[0, "label"] = OTHER[frame["label"][0]]
    return frame


def two_alike_swapped(frame):
    """Rows that differ in nothing but their image: the same set, in another order."""
    first, second = frame.index[frame["group"].eq(frame["group"][0]) & frame["label"].eq("Defective")][:2]
    order = frame.index.to_numpy().copy()
    order[[first, second]] = second, first
    return frame.iloc[order]


@pytest.mark.parametrize(("change", "line"), [
    (lambda frame: frame.drop(index=0), "its predictions are of another data set than other.csv"),
    (lambda frame: frame.iloc[::-1], "its predictions are of another data set than other.csv"),
    (two_alike_swapped, "its predictions are of another data set than other.csv"),
    (lambda frame: frame.assign(group=frame["group"] + "x"), None),
    (lambda frame: frame.assign(crop="0 0 16 16"), "its predictions are of another data set than other.csv"),
    (one_label_more, "its predictions are of other labels than those of other.csv"),
    (lambda frame: frame.assign(label="Defective"), "its predictions are of other labels than those of other.csv"),
])  # fmt: skip
def test_predictions_of_other_data_are_refused(ssl_pcb_cli, sure, tmp_path, change, line):
    name, out = manifest_with(change, "other.csv"), tmp_path / "audit"
    ended = ssl_pcb_cli("audit", "labels", name, "--run", sure, "--out", out, "--device", "cpu")
    if line is None:  # boards may be renamed
        assert ended.code == 1, ended.err
        return
    refused(ended, line, out)


def refused(ended, line, out):
    assert ended.code == 2, ended
    assert len(ended.err.splitlines()) == 1, ended.err
    assert line in ended.err
    assert not out.exists()


def spoilt(run, change):
    frame = read(run, "predictions.csv")
    change(frame).to_csv(run / "predictions.csv", index=False)


@pytest.mark.parametrize(("change", "line"), [
    (lambda frame: frame.assign(score=frame["score"].where(frame.index != 3)), "1 of 60 predictions are NaN"),
    (lambda frame: frame.assign(probability="inf"), "60 of 60 predictions are NaN or infinite"),
    (lambda frame: frame.assign(probability=frame["score"] + 2), "or no probability from 0 to 1"),
    (lambda frame: frame[1:], "does not hold one prediction of each labelled sample"),
    (lambda frame: pd.concat([frame[1:], frame[1:2]]), "does not hold one prediction of each labelled sample"),
    (lambda frame: frame.drop(columns="probability"), "is no table of predictions"),
])  # fmt: skip
def test_damaged_predictions_are_refused(ssl_pcb_cli, sure, tmp_path, change, line):
    spoilt(sure, change)
    out = tmp_path / "audit"
    refused(ssl_pcb_cli("audit", "labels", "m.csv", "--run", sure, "--out", out, "--device", "cpu"), line, out)


@pytest.mark.parametrize(("flags", "line"), [
    (("--run", "cv/fold-1"), "cv/fold-1: is no folder of a finished cross-validation"),
    (("--run", "nowhere"), "nowhere: is no folder of a finished cross-validation"),
    (("--run", "cv", "--features", "cv/fold-1"), "is a run of finetune, which saw the labels that are looked at"),
    (("--run", "cv", "--features", "cv"), "is a run of crossval, which saw the labels that are looked at"),
    (("--run", "cv", "--features", "nowhere"), "nowhere: is no folder of a finished run"),
    (("--run", "cv", "--limit", "1.5"), "--limit"),
])  # fmt: skip
def test_runs_that_cannot_judge_labels_are_refused(ssl_pcb_cli, workplace, tmp_path, flags, line):
    out = tmp_path / "audit"
    refused(ssl_pcb_cli("audit", "labels", "m.csv", "--out", out, "--device", "cpu", *flags), line, out)


def test_a_folder_in_use_is_not_written_to(ssl_pcb_cli, workplace):
    ended = ssl_pcb_cli("audit", "labels", "m.csv", "--run", "cv", "--out", "pre")
    assert "pre: exists and is not empty; choose another --out" in ended.err


@pytest.mark.parametrize("run", ["cv/fold-1", "pre"])
def test_what_to_label_next_is_unlabelled_and_can_be_filled_in(ssl_pcb_cli, workplace, truth, tmp_path, run):
    out = tmp_path / "next"
    ended = ssl_pcb_cli("audit", "next", "few.csv", "--run", run, "-n", 7, "--out", out, "--device", "cpu")
    assert ended.code == 0, ended.err
    chosen, frame = read(out, "next.csv"), Manifest.read("few.csv").frame
    assert len(set(chosen["row"])) == 7
    assert frame["label"].iloc[chosen["row"]].eq("").all()
    assert frame["split"].iloc[chosen["row"]].eq("train").all()
    assert chosen["path"].tolist() == frame["path"].iloc[chosen["row"]].tolist()
    if run == "pre":
        assert "uncertainty" not in chosen.columns
    else:
        assert (np.diff(chosen["uncertainty"]) <= 0).all()
        threshold = json.loads(Path(run, "summary.json").read_text())["reports"]["val"]["threshold"]
        away = (chosen["score"] - threshold).abs()
        assert chosen["uncertainty"].tolist() == pytest.approx((1 - np.tanh(away / 2)).tolist(), abs=1e-4)
    assert (out / "next.png").is_file()
    assert json.loads((out / "audit.json").read_text())["passed"] is True

    assert ssl_pcb_cli("data", "relabel", "few.csv", out / "next.csv", "--out", tmp_path / "same.csv").code == 0
    assert Manifest.read(tmp_path / "same.csv").frame["label"].tolist() == frame["label"].tolist()
    chosen.assign(label=truth[chosen["row"]].tolist()).to_csv(tmp_path / "given.csv", index=False)
    assert ssl_pcb_cli("data", "relabel", "few.csv", tmp_path / "given.csv", "--out", tmp_path / "n.csv").code == 0
    labels = Manifest.read(tmp_path / "n.csv").frame["label"]
    assert labels.eq("").sum() == frame["label"].eq("").sum() - 7
    assert labels[labels.ne("")].tolist() == truth[labels.ne("")].tolist()


@pytest.mark.parametrize(("flags", "line"), [
    (("few.csv", "--run", "pre", "-n", UNLABELLED + 1), f"-n 21: there are only {UNLABELLED} unlabelled samples"),
    (("m.csv", "--run", "pre"), "m.csv: has no unlabelled samples outside validation and test boards"),
    (("few.csv", "--run", "cv"), "it has a network a fold: name one of them, as cv/fold-1"),
    (("few.csv", "--run", "nowhere"), "nowhere: is no folder of a finished run"),
    (("few.csv", "--run", "pre", "-n", 0), "-n"),
])  # fmt: skip
def test_what_cannot_be_chosen_from_is_refused(ssl_pcb_cli, workplace, tmp_path, flags, line):
    out = tmp_path / "next"
    refused(ssl_pcb_cli("audit", "next", *flags, "--out", out, "--device", "cpu"), line, out)
