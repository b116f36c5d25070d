"""Every augmentation through finetune, on small synthetic boards."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.training import loop

SMALL = {
    "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8, "training.epochs": 2,
    "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous", "runtime.device": "cpu",
    "checkpoint": "none", "resamples": 100, "steps_per_epoch": 1,
}  # fmt: skip
NAMES = [variant().name for variant in get_args(get_args(AugmentConfig)[0])]
MIXED = {"cutmix": {"labels": "defect_aware", "probability": 1}, "mixup": {}, "augmix": {}, "randaugment": {}}


def start(out, augment, *, resume=False, data="m.csv", **keys):
    asked = {} if resume else SMALL | {"data.manifest": data, "augment.name": augment}
    asked |= {key.replace("__", "."): value for key, value in keys.items()}
    return run_stage("finetune", None, asked | {"runtime.out": out}, resume=resume)


def last_row(run):
    return json.loads((Path(run) / "metrics.jsonl").read_text().splitlines()[-1])


def weights(run):
    return {name: load_file(run / f"{name}.safetensors") for name in ("backbone", "head")}


@pytest.mark.parametrize("name", sorted({*NAMES} - {*MIXED}))
def test_plain_augmentations_train_a_classifier(paired, name):
    assert np.isfinite(last_row(start(f"run-{name}", name, training__epochs=1))["loss"])


@pytest.mark.parametrize("labels", ["area", "kept", "defect_aware"])
def test_cutmix_trains_a_classifier_whatever_its_labels_follow(paired, labels):
    run = start(f"cutmix-{labels}", "cutmix", augment__labels=labels, augment__probability=1, training__epochs=1)
    assert np.isfinite(last_row(run)["loss"])


@pytest.mark.parametrize("name", ["cutmix", "augmix", "painted"])
def test_images_beside_golden_images_are_augmented_together(paired, name):
    run = start(f"golden-{name}", name, data__references=True, training__epochs=1)
    assert np.isfinite(last_row(run)["loss"])


@pytest.mark.parametrize("name", MIXED)
def test_a_run_cut_off_ends_as_one_that_was_not(paired, monkeypatch, name):
    keys = {f"augment__{key}": value for key, value in MIXED[name].items()}
    straight = start(f"straight-{name}", name, **keys)
    assert np.isfinite(last_row(straight)["loss"])
    assert ("consistency" in last_row(straight)) == (name == "augmix")

    def stop(folder, **parts):
        saved(folder, **parts)
        raise KeyboardInterrupt

    saved = loop.save_state
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", stop)
        with pytest.raises(KeyboardInterrupt):
            start(f"cut-{name}", name, **keys)
    first, second = weights(straight), weights(start(f"cut-{name}", name, resume=True))
    assert all(torch.equal(first[file][key], second[file][key]) for file in first for key in first[file])


def test_labels_that_follow_boxes_need_some(paired):
    manifest = Manifest.read("m.csv")
    Manifest(manifest.frame.assign(boxes="", types=""), manifest.root).write("bare.csv")
    with pytest.raises(UserError, match=r"^bare.csv: no training sample has defect boxes, .* set augment.labels=area"):
        start("bare", "cutmix", data="bare.csv")
    assert not Path("bare").exists()
    start("area", "cutmix", data="bare.csv", augment__labels="area", training__epochs=1)
