"""A run as a classifier of images, and as one file that judges as it does."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ssl_pcb import load_classifier
from ssl_pcb.augment.views import centre
from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest, format_boxes
from ssl_pcb.data.samples import load_samples
from ssl_pcb.deploy.items import Reader
from ssl_pcb.deploy.listing import listed
from ssl_pcb.imaging.tiling import tile_grid
from ssl_pcb.stages import export as exporting
from ssl_pcb.stages.deployed import deploy
from ssl_pcb.stages.export_card import model_card
from ssl_pcb.stages.export_checks import Agreement

KEYS = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu", "resamples": 100, "checkpoint": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(workplace):
    """A finetuning on whole images, one on tiles of 20 px, and the first one exported with what evaluation chose."""
    run_stage("finetune", None, KEYS | {"runtime.out": "images"}, resume=False)
    frame = Manifest.read("m.csv").frame
    rows = [row | {"crop": format_boxes([crop])} for row in frame.to_dict("records") for crop in tile_grid(32, 32, 20)]
    Manifest.build(rows, Path.cwd()).write("tiles.csv")
    run_stage("finetune", None, KEYS | {"data.manifest": "tiles.csv", "runtime.out": "tiles"}, resume=False)
    return workplace


@pytest.fixture(scope="module")
def exported(runs):
    """``images`` evaluated with a review and familiarity, exported; its command's words."""
    from click.testing import CliRunner

    from ssl_pcb.cli import app

    budgets = ["--max-escape", "0.1", "--max-false-calls", "0.1", "--as", "point"]
    for command in (
        ["evaluate", "images", *budgets, "--defect-rate", "0.01", "--unfamiliar", "0.1"],
        ["export", "images", "-o", "model.onnx", "--int8"],
    ):
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return runs


def predictions(run):
    return pd.read_csv(Path(run) / "predictions.csv", keep_default_na=False)


def test_a_run_that_was_trained_in_bf16_is_judged_as_the_line_will(runs):
    """Else the thresholds that its scores choose would not hold there."""
    run_stage("finetune", None, KEYS | {"runtime.precision": "bf16", "runtime.out": "half"}, resume=False)
    val = predictions("half").query("split == 'val'")
    found = load_classifier("half")([Path(path) for path in val["path"]])
    assert [each.score for each in found] == pytest.approx(val["score"].tolist(), abs=1e-5)


@pytest.mark.parametrize("data", ["m.csv", "tiles.csv"])
def test_prediction_reads_files_to_the_pixels_of_training(runs, data):
    run = "images" if data == "m.csv" else "tiles"
    deployed = deploy(Path(run), "cpu", None)
    samples, _ = load_samples(deployed.judge.config.data)
    size, margin = deployed.facts.image_size, deployed.facts.margin
    assert margin == (0 if run == "images" else 4)
    for row, item in enumerate(listed([data], ())):
        (cut,) = Reader(deployed.facts, 10**6).samples(item)
        stored = torch.from_numpy(samples.store.pixels[row].copy()).permute(2, 0, 1)[None]
        assert np.array_equal(cut.pixels, centre(stored, size)[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("run", ["images", "tiles"])
def test_a_run_that_was_never_evaluated_predicts_what_it_said_itself(runs, ssl_pcb_cli, run):
    copy = Path(f"{run}-copy")
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("evaluation-*"), dirs_exist_ok=True)
    data = "m.csv" if run == "images" else "tiles.csv"
    ended = ssl_pcb_cli("predict", copy, data, "-o", "rows.csv")
    assert ended.code == 1, ended.err
    assert ended.err.count("was never evaluated") == 1
    assert "probabilities are at the validation set's" in ended.err
    said = predictions(run)
    found = pd.read_csv("rows.csv", keep_default_na=False).iloc[said["row"]]
    assert np.allclose(found["score"], said["score"], atol=1e-5)
    assert np.allclose(found["probability"], said["probability"], atol=1e-5)
    assert (found["verdict"].eq("NG").to_numpy() == said["verdict"].eq("Defective").to_numpy()).all()


def test_a_model_of_tiles_judges_whole_images_by_windows(runs):
    image = next(iter(Manifest.read("m.csv"))).path
    (found,) = load_classifier("tiles")([image])
    assert found.windows == len(tile_grid(32, 32, 20, 10))
    assert found.verdict in ("OK", "NG")


def test_the_newest_evaluation_decides_and_another_can_be_named(exported, ssl_pcb_cli):
    assert ssl_pcb_cli("evaluate", "images", "--threshold", -99, "--out", "harsh").code == 0
    images = [sample.path for sample in Manifest.read("m.csv")][:4]
    harsh = load_classifier("images", evaluation="harsh")
    assert {each.verdict for each in harsh(images)} == {"NG"}
    assert harsh.facts.operating.of_validation
    assert not load_classifier("images").facts.operating.of_validation
    point = load_classifier("images").facts.operating
    (folder,) = Path("images").glob("evaluation-*")
    found = json.loads((folder / "evaluation.json").read_text())
    assert (point.low, point.high, point.defect_rate) == (found["low"], found["high"], 0.01)
    assert point.unfamiliar_from == found["unfamiliar_from"]
    assert point.name != harsh.facts.operating.name
    ended = ssl_pcb_cli("predict", "model.onnx", images[0], "--evaluation", "harsh")
    assert (ended.code, "carries its own thresholds" in ended.err) == (2, True)


def test_run_and_file_say_the_same_of_every_image(exported):
    images = [sample.path for sample in Manifest.read("m.csv")]
    run, file = load_classifier("images"), load_classifier("model.onnx")
    assert run.facts == file.facts
    for ours, theirs in zip(run(images), file(images), strict=True):
        assert ours.verdict == theirs.verdict
        assert ours.probability == pytest.approx(theirs.probability, abs=1e-4)
        assert ours.unfamiliar == theirs.unfamiliar
        assert (ours.model, ours.threshold) == (theirs.model, theirs.threshold)


def test_what_is_judged_over_symmetries_is_so_in_a_file_too(runs, ssl_pcb_cli):
    run_stage("finetune", None, KEYS | {"runtime.out": "over", "backbone.tta": "symmetries"}, resume=False)
    assert ssl_pcb_cli("evaluate", "over", "--out", "over-evaluated").code == 0
    ended = ssl_pcb_cli("export", "over", "-o", "over.onnx")
    assert ended.code == 0, ended.err
    path = Path(next(iter(Manifest.read("m.csv"))).path)
    with Image.open(path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save("turned.png")
    both = [path, Path("turned.png")]
    (straight, turned), (said, _) = (load_classifier(each)(both) for each in ("over.onnx", "over"))
    assert straight.score == pytest.approx(turned.score, abs=1e-4)
    assert straight.score == pytest.approx(said.score, abs=1e-4)
    one, other = load_classifier("images")(both)
    assert abs(one.score - other.score) > 1e-3  # a network by itself minds the turn


def test_run_and_file_refuse_what_is_far_smaller_than_their_training_images(exported):
    for model, kind, least in (("images", "image", 32), ("model.onnx", "image", 32), ("tiles", "tile", 20)):
        classifier = load_classifier(model)
        assert classifier.facts.least_side == least
        found = classifier([np.zeros((side, side), np.uint8) for side in (1, least // 2 - 1, least // 2)])
        assert [bool(each.error) for each in found] == [True, True, False]
        assert f"whose training {kind}s have {least} px and more" in found[0].error
    assert "refuses what has a side below 16 px: half of the shortest side of a training image, 32 px" in (
        Path("model.md").read_text()
    )


def test_a_run_that_did_not_write_sizes_down_still_judges(runs):
    shutil.copytree("images", "earlier")
    record = json.loads(Path("earlier/run.json").read_text())
    del record["data"]["least_side"]
    Path("earlier/run.json").write_text(json.dumps(record))
    found = load_classifier("earlier")([np.zeros((side, side), np.uint8) for side in (7, 8)])
    assert [bool(each.error) for each in found] == [True, False]


def test_familiarity_is_that_of_evaluate(exported):
    (folder,) = Path("images").glob("evaluation-*")
    verdicts = pd.read_csv(folder / "verdicts.csv", keep_default_na=False)
    rows = list(listed(["m.csv"], ()))
    found = load_classifier("model.onnx")([rows[row] for row in verdicts["row"]])
    assert [each.unfamiliar for each in found] == verdicts["unfamiliar"].tolist()
    assert [each.verdict for each in found] == verdicts["verdict"].tolist()
    assert verdicts["unfamiliar"].any()


def test_the_card_and_the_int8_file_lie_beside(exported):
    card = Path("model.md").read_text()
    assert "0 verdicts differ from the run in fp32" in card
    assert "at the line's 1 % Defective" in card
    assert "at most 10.00% of the Defective images may escape, as counted; at most 10.00% of the good" in card
    assert re.search(r"int8 beside fp32\n\n- AUROC [\d.]+, in fp32 [\d.]+", card)
    assert "## Limits" in card
    fast = load_classifier("model.int8.onnx")
    assert fast.facts.model == load_classifier("model.onnx").facts.model + "-int8"
    assert Path("model.int8.onnx").stat().st_size < Path("model.onnx").stat().st_size
    images = [sample.path for sample in Manifest.read("m.csv")]
    apart = [a.score - b.score for a, b in zip(fast(images), load_classifier("images")(images), strict=True)]
    assert 0 < np.abs(apart).max() < 1


def test_a_card_of_one_threshold_names_no_review(exported):
    deployed = deploy(Path("tiles"), "cpu", None)
    card = model_card(deployed, Agreement(1, 0, 0.0, 0.0, 0, 0.0), None)
    assert re.search(r"threshold \w+: OK below [-\d.e]+, NG from there on\n", card)
    assert "REVIEW" not in card
    assert re.search(r"thresholds \w+: OK below \S+, NG from \S+, REVIEW between\n", Path("model.md").read_text())


def test_a_file_that_judges_otherwise_is_not_kept(runs, ssl_pcb_cli, monkeypatch):
    honest = exporting.write_onnx

    def off(module, facts, file):
        bias = module.classifier.head.layer.bias
        with torch.no_grad():
            bias[1] += 0.01
            honest(module, facts, file)
            bias[1] -= 0.01

    monkeypatch.setattr(exporting, "write_onnx", off)
    Path("fresh").mkdir()
    ended = ssl_pcb_cli("export", "images", "-o", "fresh/model.onnx")
    assert ended.code == 2
    assert "judges otherwise than the run" in ended.err
    assert list(Path("fresh").iterdir()) == []


@pytest.mark.parametrize(
    ("out", "reason"), [("m.csv", "must end in .onnx"), ("no/m.onnx", "no folder"), ("there.onnx", "exists")]
)
def test_what_cannot_be_written_is_refused_first(runs, ssl_pcb_cli, out, reason):
    Path("there.onnx").touch()
    ended = ssl_pcb_cli("export", "images", "-o", out)
    assert (ended.code, reason in ended.err) == (2, True)


def test_changed_data_cannot_check_an_export(runs, ssl_pcb_cli):
    manifest = Manifest.read("m.csv")
    kept = Path("m.csv").read_bytes()
    try:
        manifest.select(np.arange(len(manifest)) > 0).write("m.csv")
        ended = ssl_pcb_cli("export", "images", "-o", "changed.onnx")
    finally:
        Path("m.csv").write_bytes(kept)
    assert (ended.code, "has changed since" in ended.err) == (2, True)
    assert not Path("changed.onnx").exists()


@pytest.mark.parametrize("folder", ["empty", "damaged"])
def test_folders_that_are_no_such_run_are_refused(runs, ssl_pcb_cli, folder):
    Path("empty").mkdir(exist_ok=True)
    shutil.copytree("images", "damaged", dirs_exist_ok=True)
    Path("damaged/head.safetensors").write_bytes(b"x")
    ended = ssl_pcb_cli("predict", folder, "m.csv")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
