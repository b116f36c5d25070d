"""Networks that see what surrounds a tile: the same pixels, scores and places wherever a run is used."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ssl_pcb import load_classifier
from ssl_pcb.audit.label_sheet import samples_sheet
from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.augment.views import centre
from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.boxes import defect_boxes
from ssl_pcb.data.manifest import Manifest, format_boxes
from ssl_pcb.data.samples import load_samples
from ssl_pcb.deploy.items import Reader
from ssl_pcb.deploy.listing import listed
from ssl_pcb.imaging.tiling import tile_grid
from ssl_pcb.stages.deployed import deploy

SEEN, CONTEXT, OWN = 48, 8, 32
KEYS = {
    "data.manifest": "tiles.csv", "data.image_size": SEEN, "data.context": CONTEXT, "backbone.name": "resnet18",
    "backbone.strides": [4], "training.batch_size": 32, "training.epochs": 1, "runtime.threads": 1,
    "runtime.precision": "fp32", "runtime.layout": "contiguous", "runtime.device": "cpu", "resamples": 100,
    "checkpoint": "none", "runtime.out": "run", "augment.name": "symmetries",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(workplace):
    """A finetuning on tiles of 16 px, each shown at 32 px within 48."""
    frame = Manifest.read("m.csv").frame
    rows = [row | {"crop": format_boxes([crop])} for row in frame.to_dict("records") for crop in tile_grid(32, 32, 16)]
    Manifest.build(rows, Path.cwd()).write("tiles.csv")
    run_stage("finetune", None, KEYS, resume=False)
    return Path("run")


def test_files_are_read_to_the_pixels_and_scores_of_training(run, ssl_pcb_cli):
    deployed = deploy(run, "cpu", None)
    samples, data = load_samples(deployed.judge.config.data)
    source = PixelSource.open(samples.manifest, data)
    for row, item in enumerate(listed(["tiles.csv"], ())):
        (cut,) = Reader(deployed.facts, 10**6).samples(item)
        stored = torch.from_numpy(samples.store.pixels[row].copy()).permute(2, 0, 1)
        assert np.array_equal(cut.pixels, centre(stored[None], SEEN)[0].permute(1, 2, 0).numpy())
        ((_, audited, _),) = source.read([row])
        assert torch.equal(audited, stored)
    assert ssl_pcb_cli("predict", run, "tiles.csv", "-o", "rows.csv").code == 1
    said = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    found = pd.read_csv("rows.csv", keep_default_na=False).iloc[said["row"]]
    assert np.allclose(found["score"], said["score"], atol=1e-5)


def test_what_surrounds_a_tile_is_seen_and_its_defects_are_no_business_of_its(run):
    samples, _ = load_samples(deploy(run, "cpu", None).judge.config.data)
    rows = samples.rows("train")
    pixels = samples.pixels(rows).__getitems__(list(range(8))).inputs
    network = deploy(run, "cpu", None).judge.model.eval()
    changed = pixels.clone()
    ring = (pixels.shape[-1] - OWN) // 2
    changed[..., :ring, :] = 255 - changed[..., :ring, :]
    assert (network.scores(pixels) - network.scores(changed)).abs().max() > 1e-3
    far = pixels.clone()
    far[..., 0, :] = 255 - far[..., 0, :]  # of the ring for augmentation, which no judgement looks at
    assert torch.equal(network.scores(pixels), network.scores(far))


def test_a_sheet_of_labels_shows_what_they_are_about(run):
    data = deploy(run, "cpu", None).judge.config.data
    alone = data.model_copy(update={"image_size": OWN, "context": 0})
    sheets = [samples_sheet(load_samples(each)[0], np.arange(6), "tiles").tobytes() for each in (data, alone)]
    assert sheets[0] == sheets[1]


def test_the_audit_of_norms_takes_networks_that_see_surroundings_and_no_others(run, ssl_pcb_cli):
    keys = {"data.context": CONTEXT, "augment.name": "symmetries"}
    flags = ["--data", "tiles.csv", "--image-size", SEEN, "--backbone", "resnet18", "--batch-size", 8, "--steps", 2,
             "--out", "norms", *(part for key in keys for part in ("--set", f"{key}={keys[key]}"))]  # fmt: skip
    ended = ssl_pcb_cli("audit", "norms", *flags, "--set", "backbone.strides=[]")
    assert (ended.code, Path("norms").exists()) == (2, False)
    assert "data.context: is told from the tile itself on the network's maps" in ended.err
    ended = ssl_pcb_cli("audit", "norms", *flags, "--set", "backbone.strides=[4]")
    assert ended.code == 0, ended.err


def test_boxes_and_heat_lie_on_the_tile_itself(run):
    row = {"path": "a.png", "label": "Defective", "crop": "20 20 60 60", "boxes": "30 40 90 50"}
    (found,) = defect_boxes(Manifest.build([row], Path()), np.array([0]), np.array([[80, 80]], np.int32), 60, 10)
    np.testing.assert_allclose(found, [[20 / 60, 30 / 60, 50 / 60, 40 / 60]], atol=1e-6)
    (whole,) = defect_boxes(
        Manifest.build([row | {"boxes": ""}], Path()), np.array([0]), np.array([[80, 80]], np.int32), 60, 10
    )
    np.testing.assert_allclose(whole, [[1 / 6, 1 / 6, 5 / 6, 5 / 6]], atol=1e-6)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, SEEN, SEEN), dtype=np.uint8)
    assert load_classifier(run, device="cpu").heats(pixels).shape == (3, OWN, OWN)


def test_such_a_run_is_exported_evaluated_and_reported(run, ssl_pcb_cli):
    for command in (
        ("evaluate", run, "--threshold", 0, "--panels", "--robustness", "--unfamiliar", 0.1, "--out", "point"),
        ("export", run, "-o", "model.onnx"),
        ("report", run, "-o", "report.html"),
    ):
        ended = ssl_pcb_cli(*command)
        assert ended.code == 0, ended.err
        if command[0] == "export":
            assert "0 verdicts differ" in ended.out
    assert "at 32 px and 8 px around it" in Path("report.html").read_text()
    assert "at 32 px and 8 px around it" in Path("model.md").read_text()
    run_scores = [
        each.score for each in load_classifier(run)([Path(path) for path in Manifest.read("m.csv").frame["path"]])
    ]
    file_scores = [
        each.score for each in load_classifier("model.onnx")(Path(p) for p in Manifest.read("m.csv").frame["path"])
    ]
    assert file_scores == pytest.approx(run_scores, abs=1e-4)


def test_painted_defects_around_a_tile_teach_the_map_and_the_features_are_the_tiles(run):
    neck = {"backbone.strides": [4], "backbone.neck": 10, "backbone.pool": "max"}
    own = {key: KEYS[key] for key in KEYS if key not in ("resamples", "runtime.out", "checkpoint", "augment.name")}
    pretraining = own | neck | {"method.name": "defect_pretext", "training.batch_size": 8, "runtime.out": "painted"}
    run_stage("pretrain", None, pretraining, resume=False)
    probing = own | neck | {"checkpoint": "painted", "runtime.out": "probe", "fractions": [1.0], "resamples": 100}
    del probing["training.batch_size"], probing["training.epochs"]
    run_stage("linear-eval", None, probing, resume=False)
    assert "defect_map" in Path("probe/metrics.jsonl").read_text()
    assert Path("painted/defect_maps.png").exists()


def test_a_checkpoint_that_knows_tiles_otherwise_is_said(run, caplog):
    for name, keys in (("same", {}), ("other", {"data.image_size": OWN, "data.context": 0})):
        caplog.clear()
        run_stage("finetune", None, KEYS | keys | {"checkpoint": "run", "runtime.out": name}, resume=False)
        said = [line for line in caplog.messages if "run learned from samples seen at" in line]
        assert len(said) == (name == "other")
    assert said[0].startswith(
        "run learned from samples seen at 32 px and 8 px around it, and here they are seen at 32 px; set data."
    )


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            {"data.manifest": "m.csv"},
            "data.context: shows what surrounds a tile, and these are whole images; set it to 0",
        ),
        (
            {"backbone.strides": []},
            "data.context: is told from the tile itself on the network's maps; set backbone.str",
        ),
        ({"data.context": 6}, "data.context: 6 px are no whole cells of 4 px; give a multiple of that"),
        (
            {"data.image_size": 50},
            "data.image_size: 50 px less 8 px of context on each side are no whole cells of 4 px; set it to 48",
        ),
        (
            {"augment.name": "standard"},
            "augment.view.geometry: within data.context a turned, moved or smaller tile lets neighbours' defects into",
        ),
        (
            {"augment.name": "randaugment"},
            "augment.operations: within data.context rotate_inside lets neighbours' defects into a tile's place",
        ),
        ({"data.context": 16}, "context: leaves less than half of the 48 px to the tile itself"),
        (
            {"downsizer.checkpoint": "none"},
            "data.context: a downsizer does not keep it apart from the tile; set it to 0",
        ),
    ],
)
def test_what_it_does_not_go_with(run, ssl_pcb_cli, keys, line):
    flags = [
        part
        for key, value in (KEYS | keys | {"runtime.out": "refused"}).items()
        for part in ("--set", f"{key}={value}")
    ]
    ended = ssl_pcb_cli("finetune", *flags)
    assert (ended.code, Path("refused").exists()) == (2, False)
    assert line in ended.err


def test_crossval_refuses_moves_within_surroundings_before_its_first_fold(run, ssl_pcb_cli):
    own = {key: KEYS[key] for key in ("data.manifest", "data.image_size", "data.context", "backbone.name")}
    flags = [part for key, value in own.items() for part in ("--set", f"{key}={value}")]
    ended = ssl_pcb_cli("crossval", *flags, "--augment", "standard", "--out", "refused")
    assert (ended.code, Path("refused").exists()) == (2, False)
    assert "augment.view.geometry: within data.context" in ended.err


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"method.name": "autoencoder"}, "data.context: an autoencoder codes the whole picture; set it to 0"),
        (
            {
                "method.name": "defect_pretext", "method.nt_xent_weight": 0.1, "backbone.strides": [8, 16],
                "backbone.pool": "max", "backbone.neck": 7,
            },
            "data.context: NT-Xent pools the maps of all strides, and 8 px are no whole cells of 16 px; give a "
            "multiple of that, or set method.nt_xent_weight=0",
        ),
    ],
)  # fmt: skip
def test_pretrainings_that_it_does_not_go_with(run, ssl_pcb_cli, keys, line):
    own = {key: KEYS[key] for key in ("data.manifest", "data.image_size", "data.context", "backbone.name")}
    flags = [part for key, value in (own | keys).items() for part in ("--set", f"{key}={value}")]
    ended = ssl_pcb_cli("pretrain", *flags, "--out", "refused")
    assert (ended.code, Path("refused").exists()) == (2, False), ended.err
    assert line in ended.err


def test_shards_have_no_surroundings_to_be_seen(run, ssl_pcb_cli):
    assert ssl_pcb_cli("data", "shards", "tiles.csv", "shards", "--image-size", SEEN).code == 0
    ended = ssl_pcb_cli(
        "pretrain", "--shards", "shards/index.json", "--image-size", SEEN, "--set", "data.context=8",
        "--set", "backbone.strides=[4]", "--out", "no",
    )  # fmt: skip
    assert ended.code == 2
    assert "data.context: shards hold tiles by themselves; set it to 0" in ended.err
