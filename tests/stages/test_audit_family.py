"""What all audits have in common: exit codes, the form of audit.json, and a line for each finding."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import LABELS, Manifest

SMALL = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu", "resamples": 100, "checkpoint": "none",
}  # fmt: skip
FORM = {"audit", "data", "passed", "findings", "picture", "facts"}
FINDING = {"what", "measure", "value", "low", "high", "limit", "samples", "mend"}
CROPS = ("--set", "view.geometry.allow_crops=true", "--set", "view.geometry.random_crop.min_area=0.08")
PLANTED = {
    "augmentations": (("--data", "m.csv"), ("--data", "m.csv", *CROPS), ("--data", "none.csv")),
    "augmentations of a run": (("--run", "unmoved"), ("--run", "brittle"), ("--run", "none")),
    "shortcuts": (("alike.csv",), ("formats.csv",), ("none.csv",)),
    "duplicates": (("m.csv",), ("copied.csv",), ("none.csv",)),
    "labels": (("m.csv", "--run", "right"), ("m.csv", "--run", "wrong"), ("m.csv", "--run", "none")),
    "next": (("few.csv", "--run", "unmoved", "-n", 4), None, ("m.csv", "--run", "unmoved")),
    "robustness": (("unmoved",), ("brittle",), ("none",)),
}
"""By audit: what passes, what it holds something against (``next`` only chooses), and what it cannot read."""


@pytest.fixture(scope="module")
def planted(workplace):
    """The data sets and runs that :data:`PLANTED` names."""
    manifest = Manifest.read("m.csv")
    write_sets(manifest)
    finetuned = run_stage("finetune", None, SMALL | {"runtime.out": "run"}, resume=False)
    scores = pd.read_csv(finetuned / "predictions.csv").query("split == 'val'")
    # A threshold that no picture can cross, and one that the least change of a defective picture crosses.
    with_threshold("run", "unmoved", -1e6)
    with_threshold("run", "brittle", scores["score"][scores["label"].eq(LABELS[1])].min() - 1e-6)
    run_stage("crossval", None, SMALL | {"folds": 2, "runtime.out": "right"}, resume=False)
    shutil.copytree("right", "wrong")
    for run, lies in (("right", 0), ("wrong", 6)):
        frame = pd.read_csv(f"{run}/predictions.csv", keep_default_na=False)
        sure = np.where(frame["label"].eq(LABELS[1]), 0.95, 0.05)
        sure[:lies] = 1 - sure[:lies]
        frame.assign(probability=sure).to_csv(f"{run}/predictions.csv", index=False)
    return workplace


def write_sets(manifest):
    frame = manifest.frame
    Manifest(frame.assign(label=frame["label"].mask(frame["split"].eq("train") & (frame.index < 8), "")),
             manifest.root).write("few.csv")  # fmt: skip
    copy = {"path": "copy.png", "label": frame["label"][0], "group": "copied", "split": "val"}
    shutil.copy(manifest.root / frame["path"][0], "copy.png")
    Manifest.build([*frame.to_dict("records"), copy], Path.cwd()).write("copied.csv")
    for name, suffixes in {"alike": ("png", "png"), "formats": ("png", "bmp")}.items():
        Path(name).mkdir()
        rows = []
        for number in range(24):
            path = f"{name}/{number}.{suffixes[number % 2]}"
            Image.fromarray(np.random.default_rng(number // 2).integers(0, 256, (16, 16), np.uint8)).save(path)
            rows.append({"path": path, "label": LABELS[number % 2], "group": f"board{number // 4}"})
        Manifest.build(rows, Path.cwd()).write(f"{name}.csv")


def with_threshold(run, name, threshold):
    shutil.copytree(run, name)
    file = Path(name, "summary.json")
    summary = json.loads(file.read_text())
    summary["reports"]["val"]["threshold"] = threshold
    file.write_text(json.dumps(summary))


@pytest.fixture
def audit(planted, ssl_pcb_cli, tmp_path):
    """Runs an audit; returns how it ended, and its audit.json or nothing."""

    def run(name, flags):
        ended = ssl_pcb_cli("audit", name.split()[0], *flags, "--out", tmp_path / "found")
        file = tmp_path / "found" / "audit.json"
        return ended, json.loads(file.read_text()) if file.exists() else None

    return run


def assert_shown(ended, picture, folder):
    """There is a picture to look at, or it is said that there is none."""
    assert ("no picture: there is nothing to show" in ended.out) == (picture is None)
    assert [file.name for file in folder.glob("*.png")] == [] if picture is None else (folder / picture).is_file()
    if picture:
        with Image.open(folder / picture) as opened:
            assert opened.width > 100


def said(ended):
    """What the terminal shows of findings."""
    starts = ("finding: ", "pass: ")
    return [line for line in ended.out.splitlines() if line.startswith(starts)]


@pytest.mark.parametrize("name", PLANTED)
def test_a_pass_is_told_alike(audit, tmp_path, name):
    ended, found = audit(name, PLANTED[name][0])
    assert (ended.code, ended.err) == (0, "")
    assert set(found) == FORM
    assert (found["audit"], found["passed"], found["findings"]) == (name.split()[0], True, [])
    assert found["data"]["fingerprint"]
    assert said(ended) == ["pass: no findings"]
    assert_shown(ended, found["picture"], tmp_path / "found")


@pytest.mark.parametrize("name", [name for name, (_, finding, _) in PLANTED.items() if finding])
def test_a_finding_is_told_alike(audit, tmp_path, name):
    ended, found = audit(name, PLANTED[name][1])
    assert (ended.code, ended.err) == (1, "")
    assert set(found) == FORM
    assert (found["audit"], found["passed"]) == (name.split()[0], False)
    lines = said(ended)
    assert len(lines) == len(found["findings"]) > 0
    for line, finding in zip(lines, found["findings"], strict=True):
        assert set(finding) == FINDING
        assert finding["value"] is not None
        assert line.startswith(f"finding: {finding['what']} ({finding['measure']} {finding['value']:.4g}")
        assert line.endswith(f"; to mend: {finding['mend']}")
        assert finding["mend"]
    assert found["picture"]
    assert_shown(ended, found["picture"], tmp_path / "found")


@pytest.mark.parametrize("name", PLANTED)
def test_an_error_is_told_alike(audit, tmp_path, name):
    ended, found = audit(name, PLANTED[name][2])
    assert (ended.code, found) == (2, None)
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "found").exists()


def test_evaluate_tells_of_robustness_in_the_same_words_but_its_exit_code_is_its_own(planted, ssl_pcb_cli, tmp_path):
    ended = ssl_pcb_cli("evaluate", "brittle", "--robustness", "--out", tmp_path / "whole")
    found = json.loads((tmp_path / "whole" / "robustness" / "audit.json").read_text())
    assert (ended.code, found["passed"]) == (0, False)
    assert len(said(ended)) == len(found["findings"])
