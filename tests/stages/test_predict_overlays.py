"""Pictures of what a run judged: its own heat maps, over images of any kind, and over panels."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_pcb import load_classifier
from ssl_pcb.augment.views import plain_view
from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest, format_boxes
from ssl_pcb.deploy.items import Item
from ssl_pcb.deploy.overlay import overlay
from ssl_pcb.evaluation.heat_maps import heat_maps
from ssl_pcb.imaging.tiling import tile_grid
from ssl_pcb.stages.finetuned import load_classifier as load_network

KEYS = {
    "data.manifest": "tiles.csv", "backbone.name": "resnet18", "backbone.strides": [4], "data.image_size": 32,
    "training.batch_size": 32, "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32",
    "runtime.layout": "contiguous", "runtime.device": "cpu", "resamples": 100, "checkpoint": "none",
    "runtime.out": "tiles",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(workplace):
    """A finetuning on tiles of 16 px."""
    frame = Manifest.read("m.csv").frame
    rows = [row | {"crop": format_boxes([crop])} for row in frame.to_dict("records") for crop in tile_grid(32, 32, 16)]
    Manifest.build(rows, Path.cwd()).write("tiles.csv")
    run_stage("finetune", None, KEYS, resume=False)
    return "tiles"


def test_the_heat_of_samples_is_that_of_the_network(run):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    found = load_classifier(run, device="cpu").heats(pixels)
    network = load_network(Path(run), "cpu").model.eval()
    expected = heat_maps(network, plain_view(torch.from_numpy(pixels), 32)).numpy()
    assert found.shape == (3, 32, 32)
    assert np.ptp(found) > 0
    assert np.array_equal(found, expected)


def test_images_that_are_not_ok_have_pictures_and_others_none(run, ssl_pcb_cli):
    ended = ssl_pcb_cli("predict", run, "m.csv", "tiles.csv", "--overlays", "o", "--device", "cpu")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    expected = {number for number, row in enumerate(rows, 1) if row["verdict"] in ("NG", "REVIEW")}
    assert {int(file.name.split("-")[0]) for file in Path("o").iterdir()} == expected
    assert len(expected) > 3
    plain = ssl_pcb_cli("predict", run, "m.csv", "tiles.csv", "--device", "cpu")
    assert plain.out == ended.out


def test_a_panel_is_shown_whole_with_the_heat_of_all_its_windows(run):
    classifier = load_classifier(run, device="cpu")
    image = np.asarray(Image.open(Manifest.read("m.csv").root / Manifest.read("m.csv").frame["path"][0]))
    item = Item("panel", np.tile(image, (3, 5, 1)))
    (found,) = classifier([item])
    with_heat = np.asarray(overlay(classifier, item, found)).astype(int)
    cold = replace(classifier, heats=lambda pixels: np.zeros((len(pixels), 32, 32), np.float32))
    without = np.asarray(overlay(cold, item, found)).astype(int)
    assert with_heat.shape == (288, 480, 3)
    changed = np.abs(with_heat - without).sum(-1) > 0
    assert all(part.any() for row in np.array_split(changed, 3) for part in np.array_split(row, 5, axis=1))
