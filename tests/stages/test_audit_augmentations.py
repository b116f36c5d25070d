"""``ssl-pcb audit augmentations`` as a whole: the form of its result, exit codes, and what it says is to be mended."""

import json

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import load_samples

SMALL = {
    "backbone.name": "test_resnet", "data.manifest": "m.csv", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu", "checkpoint": "none", "resamples": 100, "steps_per_epoch": 1, "runtime.out": "run",
}  # fmt: skip
CROPS = ("--set", "{}view.geometry.allow_crops=true", "--set", "{}view.geometry.random_crop.min_area=0.08")


@pytest.fixture
def audit(workplace, ssl_pcb_cli, tmp_path):
    """Runs it on a few samples; returns how it ended, and audit.json or nothing."""

    def run(*more):
        ended = ssl_pcb_cli("audit", "augmentations", "--out", tmp_path / "found", "--samples", 24, *more)
        file = tmp_path / "found" / "audit.json"
        return ended, json.loads(file.read_text()) if file.exists() else None

    return run


@pytest.fixture(scope="module")
def finetuned(workplace):
    return run_stage("finetune", None, SMALL, resume=False)


def crops(of):
    return [each.format(of) for each in CROPS]


def test_views_that_keep_defects_pass_in_the_form_of_all_audits(audit, tmp_path):
    ended, found = audit("--data", "m.csv", "--views", 2)
    assert (ended.code, ended.err) == (0, "")
    assert set(found) == {"audit", "data", "passed", "findings", "facts", "picture"}
    assert (found["audit"], found["passed"], found["findings"]) == ("augmentations", True, [])
    samples, _ = load_samples(DataConfig(manifest="m.csv", image_size=32))
    assert found["data"]["fingerprint"] == samples.fingerprint(labels=True)  # that of runs on the same samples
    assert found["facts"]["augmentations"]["configured"]["figures"]["in_view"]["value"] == 1
    assert "pass: no findings" in ended.out
    with Image.open(tmp_path / "found" / "contact_sheet.png") as sheet:
        assert sheet.height > sheet.width / 2


@pytest.mark.parametrize(
    ("more", "what", "mend"),
    [
        (crops(""), "the views cut defects away", "leave out view.geometry.random_crop"),
        (
            ["--augment", "standard", *crops("augment.")],
            "standard puts labels on the class that a picture does not show",
            "leave out augment.view.geometry.random_crop",
        ),
        (
            ["--augment", "cutmix", "--set", "augment.labels=kept"],
            "cutmix puts labels on the class that a picture does not show",
            "set augment.labels=defect_aware",
        ),
        (["--augment", "mixup"], "mixup puts labels on the class that a picture does not show", "take cutmix"),
    ],
)
def test_each_finding_is_a_line_that_names_itself_and_the_mend(audit, more, what, mend):
    ended, found = audit("--data", "m.csv", *more)
    assert ended.code == 1
    assert not found["passed"]
    (finding,) = found["findings"]
    assert finding["what"] == what
    assert finding["mend"].startswith(mend)
    assert finding["low"] <= finding["value"] <= finding["high"]
    (line,) = (line for line in ended.out.splitlines() if "finding: " in line)
    assert what in line
    assert mend in line


def test_of_several_augmentations_only_those_at_fault_are_named(audit):
    ended, found = audit("--data", "m.csv", "--augment", "symmetries", "--augment", "mixup")
    assert ended.code == 1
    assert [each["what"].split()[0] for each in found["findings"]] == ["mixup"]
    assert {"symmetries", "mixup"} < set(found["facts"]["augmentations"])


def test_a_neighbours_defect_that_is_shown_is_a_finding(audit, workplace):
    board = np.full((64, 128), 60, np.uint8)
    board[24:32, 66:74] = 250
    Image.fromarray(board).save(workplace / "a.png")
    rows = [
        {"path": "a.png", "label": "NonDefective", "crop": "0 0 64 64"},
        {"path": "a.png", "label": "Defective", "crop": "64 0 128 64", "boxes": "66 24 74 32"},
    ]
    Manifest.build(rows, workplace).write(workplace / "neighbours.csv")
    shown = ["--set", "augment.view.geometry.surroundings=true", "--set", "augment.view.geometry.shrink=0.5"]
    ended, found = audit("--data", "neighbours.csv", "--augment", "standard", "--views", 40, *shown)
    assert ended.code == 1
    assert "set augment.view.geometry.surroundings=false" in {each["mend"] for each in found["findings"]}


def test_a_trained_model_is_judged_in_the_same_form(audit, finetuned, tmp_path):
    ended, found = audit("--run", finetuned, "--device", "cpu")
    assert (ended.code, ended.err) == (int(bool(found["findings"])), "")
    assert found["audit"] == "augmentations"
    changes = found["facts"]["changes"]
    assert sum(each["usual"] for each in changes) == 1 + 8  # symmetries, and the parts of the standard view
    failing = [each for each in changes if each["usual"] and each["verdict_flips"]["interval_95"][0] > 0.05]
    assert len(found["findings"]) == len(failing)
    for line in ("similarity: cosine", "verdicts flipped: ", "of all others, the worst is "):
        assert line in ended.out
    with Image.open(tmp_path / "found" / "invariance.png") as picture:
        assert picture.width > 1000


def test_without_boxes_or_beside_a_run_it_is_refused(audit, workplace):
    manifest = Manifest.read("m.csv")
    Manifest(manifest.frame.assign(boxes="", types=""), manifest.root).write("bare.csv")
    ended, found = audit("--data", "bare.csv")
    assert (ended.code, found) == (2, None)
    assert "no sample shows a defect box" in ended.err
    ended, found = audit("--run", "nothing", "--augment", "mixup")
    assert (ended.code, found) == (2, None)
    assert "--run: asks a trained model as it is" in ended.err
