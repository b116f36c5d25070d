"""A network that sees golden images judges files as it judged its own samples."""

import numpy as np
import pandas as pd

from ssl_pcb import load_classifier
from ssl_pcb.cli.stages import run_stage
from ssl_pcb.deploy.listing import listed

KEYS = {
    "data.manifest": "m.csv", "data.references": True, "backbone.name": "test_resnet", "data.image_size": 32,
    "training.batch_size": 8, "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32",
    "runtime.layout": "contiguous", "runtime.device": "cpu", "resamples": 100, "checkpoint": "none",
}  # fmt: skip


def test_golden_images_of_the_manifest_are_seen_as_in_training(paired):
    run_stage("finetune", None, KEYS | {"runtime.out": "golden"}, resume=False)
    said = pd.read_csv("golden/predictions.csv", keep_default_na=False)
    items = list(listed(["m.csv"], ()))
    found = load_classifier("golden")([items[row] for row in said["row"]])
    assert np.allclose([each.score for each in found], said["score"], atol=1e-5)
    assert all(each.difference is not None for each in found)
    (alone,) = load_classifier("golden")([items[0].source])
    assert "name one with --reference" in alone.error
