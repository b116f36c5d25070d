"""``ssl-pcb audit robustness`` from a finished finetuning to its files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from ssl_pcb.audit.camera.scoring import CLEAN
from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.synthetic.generate import synthesize
from ssl_pcb.stages.validation import Validation

SMALL = {
    "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8, "training.epochs": 1,
    "runtime.threads": 1, "runtime.precision": "bf16", "runtime.layout": "contiguous", "runtime.device": "cpu",
    "checkpoint": "none", "resamples": 100,
}  # fmt: skip
FILES = ["audit.json", "robustness.csv", "robustness.json", "robustness.png"]


@pytest.fixture(scope="module")
def run(workplace):
    return run_stage("finetune", None, SMALL | {"data.manifest": "m.csv", "runtime.out": "run"}, resume=False)


@pytest.fixture
def audit(ssl_pcb_cli, run):
    return lambda *more: ssl_pcb_cli("audit", "robustness", *(more or (run,)), "--device", "cpu")


def report(folder):
    return json.loads(Path(folder, "robustness.json").read_text())


def test_a_run_is_measured_on_its_validation_samples(run, audit):
    ended = audit(run, "--out", "whole")
    assert ended.code in (0, 1), ended.err
    assert sorted(file.name for file in Path("whole").iterdir()) == FILES
    found, frame = report("whole"), pd.read_csv("whole/robustness.csv")
    summary = json.loads((run / "summary.json").read_text())["reports"]["val"]
    clean = frame[frame["corruption"] == "clean"].iloc[0]
    for name in ("escape_rate", "false_call_rate", "auroc"):
        assert clean[name] == pytest.approx(summary["metrics"][name]["value"], abs=1e-5)
    assert found["settings"]["threshold"] == summary["threshold"]
    assert found["settings"]["samples"] == summary["n"]
    assert found["settings"]["surroundings_px"] == 0
    assert found["data"]["fingerprint"]
    kinds = frame["corruption"].value_counts()
    assert kinds.pop("clean") == 1
    assert kinds.pop("shift") == 4
    assert set(kinds) == {5}
    assert len(kinds) == 12
    known = set(frame.loc[frame["trained_on"].notna(), "corruption"])
    assert {"brighter", "contrast", "defocus", "sensor_noise", "rotation", "shift"} <= known
    assert known.isdisjoint({"uneven_light", "glare", "jpeg", "colour_temperature"})
    for line in (*found["said"], "shift by 8 px", "no surroundings to show, only its mirror image"):
        assert line in ended.out
    with Image.open("whole/robustness.png") as sheet:
        assert sheet.width > 1000


def test_pictures_as_they_are_get_the_scores_that_the_run_has_saved_in_fp32(run):
    asked = Validation.open(run, None, samples=10**9, seed=0, device="cpu")
    saved = pd.read_csv(run / "predictions.csv").set_index("row")["score"]
    np.testing.assert_allclose(asked.scores({})[CLEAN], saved[asked.rows], atol=1e-5)


def test_the_verdict_is_in_the_exit_code_and_in_the_form_of_all_audits(run, audit):
    ended = audit(run, "--out", "verdict")
    found = json.loads(Path("verdict/audit.json").read_text())
    assert (found["audit"], found["data"]["manifest"]) == ("robustness", "m.csv")
    assert ended.code == (0 if found["passed"] else 1)
    assert found["passed"] == (not found["findings"])
    frame = pd.read_csv("verdict/robustness.csv")
    mild = frame[frame["level"].eq(1) & frame["corruption"].ne("shift")]
    twice = mild[mild["escape_rate"].gt(2 * frame["escape_rate"][0]) & mild["escape_rate_change_low"].gt(0)]
    named = [
        each["what"].removesuffix(" of severity 1 more than doubles the escape rate") for each in found["findings"]
    ]
    assert named == twice["corruption"].tolist()
    for each in found["findings"]:
        assert each["low"] <= each["value"] <= each["high"]
        assert each["mend"]


def test_the_seed_decides(run, audit):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert audit(run, "--out", out, "--seed", seed).code in (0, 1)
    assert report("a")["rows"] == report("b")["rows"] != report("c")["rows"]
    assert Path("a/robustness.png").read_bytes() == Path("b/robustness.png").read_bytes()


def test_fewer_samples_keep_both_classes(run, audit):
    assert audit(run, "--out", "few", "--samples", 2).code in (0, 1)
    assert (report("few")["settings"]["samples"], report("few")["settings"]["defective"]) == (2, 1)


def test_a_balanced_count_has_as_many_of_either_class(run, audit):
    manifest = Manifest.read("m.csv")
    val, defective = manifest.frame["split"].eq("val"), manifest.frame["label"].eq("Defective")
    manifest.select(~(val & defective & (manifest.frame.index % 3 > 0))).write("rare.csv")
    for name in ("natural", "balanced"):
        assert audit(run, "--data", "rare.csv", "--out", name, "--test-balance", name).code in (0, 1)
    natural, balanced = report("natural")["settings"], report("balanced")["settings"]
    assert 0 < natural["defective"] < natural["samples"] / 2
    assert balanced["samples"] == 2 * balanced["defective"] == 2 * natural["defective"]


@pytest.fixture(scope="module")
def tiles(workplace):
    """Manifest of grey panels cut into tiles of 32 px, which have surroundings."""
    panels = Manifest.read(synthesize(Path("panels"), boards=4, images_per_board=4, image_size=96, style="binary"))
    rows = []
    for path, group in zip(panels.frame["path"], panels.frame["group"], strict=True):
        for top, left in ((16, 16), (16, 48), (48, 16), (48, 48)):
            label = ("Defective", "NonDefective")[len(rows) % 2]
            split = "val" if group == panels.frame["group"].iloc[-1] else "train"
            rows.append({"path": path, "crop": f"{left} {top} {left + 32} {top + 32}", "label": label, "group": group,
                         "split": split})  # fmt: skip
    return Manifest.build(rows, panels.root)


def test_crops_show_their_surroundings_and_grey_ones_no_colour(tiles, audit):
    tiles.write("tiles.csv")
    run = run_stage("finetune", None, SMALL | {"data.manifest": "tiles.csv", "runtime.out": "tiles-run"}, resume=False)
    ended = audit(run, "--out", "tiles")
    assert ended.code in (0, 1), ended.err
    assert "4 px of real surroundings, then its mirror image" in ended.out
    assert "colour_temperature: left out" in ended.out
    assert "colour_temperature" not in {row["corruption"] for row in report("tiles")["rows"]}


# Refusals ----------------------------------------------------------------------------------------------------


def refused(ended, *words):
    assert ended.code == 2, ended
    assert len(ended.err.splitlines()) == 1, ended.err
    assert all(word in ended.err for word in words), ended.err


def test_what_is_no_finished_finetuning(audit, run):
    Path("empty").mkdir(exist_ok=True)
    refused(audit("empty"), "empty: is no folder of a finished finetuning")
    refused(audit("nowhere"), "nowhere: is no folder of a finished finetuning")
    assert not Path("runs").exists()


def test_a_folder_in_use(audit, run):
    Path("used").mkdir(exist_ok=True)
    Path("used/mine.txt").write_text("")
    refused(audit(run, "--out", "used"), "used: exists and is not empty; choose another --out")


def test_training_boards_that_another_manifest_calls_validation(audit, run):
    manifest = Manifest.read("m.csv")
    Manifest(manifest.frame.assign(split="val"), manifest.root).write("seen.csv")
    refused(audit(run, "--data", "seen.csv", "--out", "seen"), "run: was trained on boards")
    assert not Path("seen").exists()


def test_validation_of_one_class(audit, run):
    manifest = Manifest.read("m.csv")
    frame = manifest.frame
    bad = frame["split"].eq("val") & frame["label"].eq("Defective")
    Manifest(frame.assign(label=frame["label"].mask(bad, "")), manifest.root).write("good.csv")
    refused(audit(run, "--data", "good.csv", "--out", "one"), "good.csv: split 'val' has only NonDefective samples")
    assert not Path("one").exists()


def test_grey_pictures_for_a_network_of_colour(audit, run, tiles):
    tiles.write("grey.csv")
    refused(
        audit(run, "--data", "grey.csv", "--out", "grey"),
        "grey.csv: its pictures are grey, and the network of run was trained on colour",
    )


def test_a_network_that_diverged(audit, run):
    spoilt = Path("spoilt")
    spoilt.mkdir()
    for file in run.iterdir():
        if file.is_file():
            (spoilt / file.name).write_bytes(file.read_bytes())
    weights = load_file(spoilt / "head.safetensors")
    weights = {name: each * np.nan if each.is_floating_point() else each for name, each in weights.items()}
    save_file(weights, spoilt / "head.safetensors")
    refused(audit(spoilt, "--out", "diverged"), "NaN or infinite")
    assert not Path("diverged").exists()


@pytest.mark.parametrize("samples", [0, 1])
def test_too_few_samples_for_two_classes(audit, run, samples):
    refused(audit(run, "--samples", samples), "--samples")
