"""Every loss through the stages: trained, refused, resumed, and what it leaves in the run folder."""

import json
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.load import load_config
from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.stages import STAGES
from ssl_pcb.errors import UserError
from ssl_pcb.training import loop

SMALL = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "checkpoint": "none", "resamples": 100, "runtime.threads": 1, "runtime.precision": "fp32",
    "runtime.layout": "contiguous", "runtime.device": "cpu",
}  # fmt: skip
STAGE = {"finetune": {}, "linear-eval": {"fractions": [1.0], "cs": [1.0], "ks": [1]}}
BALANCED = {"sampler.name": "balanced_batch"}
OPTIONS = {
    "cross_entropy": [
        {"loss.class_weights": "balanced"}, {"loss.class_weights": "effective_number"}, {"loss.label_smoothing": 0.1},
    ],
    "class_ratio": [{"loss.swapped": True, "loss.posthoc": False}],
    "large_margin_softmax": [{"loss.margin": 4, "loss.lambda_end": 0.01, "loss.anneal_steps": 3}],
    "temperature": [{"loss.learned": True}],
    "ldam": [{"loss.reweight_after": 2}],
    "supcon": [
        {"loss.mode": "joint"}, {"loss.views": 1, **BALANCED}, {"loss.views": 1, "loss.mode": "joint", **BALANCED},
    ],
}  # fmt: skip
NAMES = [variant().name for variant in get_args(get_args(LossConfig)[0])]
CASES = [{"loss.name": name, **keys} for name in NAMES for keys in [{}, *OPTIONS.get(name, [])]]
SUPCON_BY_FEATURES = {"loss.name": "supcon", "loss.views": 1, "loss.mode": "joint", **BALANCED}
BY_FEATURES = [*({"loss.name": name} for name in NAMES if name != "supcon"), SUPCON_BY_FEATURES]


def name_of(case):
    return ",".join(f"{value}" if key == "loss.name" else f"{key}={value}" for key, value in case.items())


def start(stage, out, keys, *, resume=False):
    asked = {} if resume else SMALL | STAGE[stage] | keys
    return run_stage(stage, None, asked | {"runtime.out": out}, resume=resume)


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_every_loss_trains_a_classifier(workplace, case):
    folder = start("finetune", f"tuned-{CASES.index(case)}", case)
    assert np.isfinite(rows(folder)[-1]["loss"])
    scores = pd.read_csv(folder / "predictions.csv")["score"]
    assert scores.nunique() > len(scores) / 2
    assert (folder / "temperature.png").exists() is (case["loss.name"] == "temperature")


@pytest.mark.parametrize("case", BY_FEATURES, ids=name_of)
def test_every_loss_that_needs_no_pixels_trains_a_head_on_features(workplace, case):
    folder = start("linear-eval", f"probe-{case['loss.name']}", case)
    table = pd.read_json(folder / "metrics.jsonl", lines=True)
    (found,) = table[table["probe"].eq("gradient_head") & table["split"].eq("val")].to_dict("records")
    assert found["setting"] == case["loss.name"]
    assert 0 <= found["auroc"] <= 1


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize(
    "case",
    [
        {"loss.name": "large_margin_softmax", "loss.anneal_steps": 12},
        {"loss.name": "temperature", "loss.learned": True},
        {"loss.name": "ldam", "loss.reweight_after": 7},
        {"loss.name": "supcon"},
    ],
    ids=name_of,
)
def test_a_loss_with_a_state_is_taken_up_where_it_stood(workplace, monkeypatch, case):
    keys, name = case | {"training.epochs": 2, "backbone.drop_rate": 0.2}, case["loss.name"]
    straight = start("finetune", f"{name}-straight", keys)
    saved = loop.save_state

    def cut_off(folder, **parts):
        saved(folder, **parts)
        if parts["epoch"] == 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", cut_off)
        with pytest.raises(Killed):
            start("finetune", f"{name}-cut", keys)
    cut = start("finetune", f"{name}-cut", {}, resume=True)
    states = [torch.load(folder / "state.pt", weights_only=True)["objective"] for folder in (straight, cut)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    assert [row["loss"] for row in rows(straight)] == [row["loss"] for row in rows(cut)]
    if "classifier.loss.steps" in states[0]:
        assert states[0]["classifier.loss.steps"] == 10  # 2 epochs of 43 samples in batches of 8


def test_the_correction_by_class_ratios_is_part_of_the_saved_head_and_of_all_scores(workplace):
    keys = [{"loss.name": "class_ratio", "loss.posthoc": on} for on in (True, False)]
    folders = [start("finetune", f"ratio-{each['loss.posthoc']}", each) for each in keys]
    counts = json.loads((folders[0] / "run.json").read_text())["class_counts"]
    shift = np.log(counts["NonDefective"] / counts["Defective"])
    assert shift != 0
    tables = [pd.read_csv(folder / "predictions.csv") for folder in folders]
    np.testing.assert_allclose(tables[0]["score"] - tables[1]["score"], shift, atol=1e-5)
    bias, bare = (load_file(folder / "head.safetensors")["layer.bias"].diff().item() for folder in folders)
    assert bias - bare == pytest.approx(shift, abs=1e-6)
    assert tables[0]["verdict"].equals(tables[1]["verdict"])  # the threshold moves along


def test_the_picture_of_a_temperature_shows_the_networks_own_among_others(workplace):
    folder = start("finetune", "warm", {"loss.name": "temperature", "loss.temperature": 3})
    layer = load_file(folder / "head.safetensors")
    assert layer["layer.log_temperature"].exp().item() == pytest.approx(3)
    with Image.open(folder / "temperature.png") as picture:
        wide = picture.width
        assert np.asarray(picture).std() > 5
    # One panel more than where the temperature is among those compared with.
    with Image.open(start("finetune", "cool", {"loss.name": "temperature"}) / "temperature.png") as picture:
        assert picture.width < wide
    assert "temperature, 3, and at others" in Path("warm/log.txt").read_text()


SUPCON = {"loss.name": "supcon"}
OF_ONE_LENGTH = ("l2_constrained_softmax", "ldam")


@pytest.mark.parametrize(
    ("stage", "keys", "said"),
    [
        ("finetune", SUPCON | {"loss.views": 1}, "loss.views: .* set loss.views=2 or sampler.name=balanced_batch"),
        ("finetune", SUPCON | {"augment.name": "none"}, "loss.views: .* set augment.name=symmetries, or loss.views=1"),
        *(
            ("linear-eval", SUPCON | dict(zip(("loss.views", "loss.mode"), each, strict=True)),
             "loss: .* set loss.mode=joint, loss.views=1 and sampler.name=balanced_batch")
            for each in product((1, 2), ("two_stage", "joint")) if each != (1, "joint")
        ),
        ("linear-eval", SUPCON | {"loss.views": 1, "loss.mode": "joint"}, "loss.views: .* or sampler.name=balanced_b"),
        *(
            ("finetune", {"loss.name": name, "head_start": "probe"},
             f"head_start: .* loss.name={name} .* set head_start=random, or another loss")
            for name in OF_ONE_LENGTH
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line_that_says_what_to_set(stage, keys, said):
    with pytest.raises(UserError, match=f"^{said}") as refused:
        load_config(STAGES[stage], None, keys)
    assert "\n" not in str(refused.value)


def test_class_counts_are_of_a_whole_pass_however_few_steps_an_epoch_has(workplace):
    found = []
    for steps in (None, 1):
        folder = start("finetune", f"counts-{steps}", {"steps_per_epoch": steps, "training.epochs": 1})
        found.append(json.loads((folder / "run.json").read_text())["class_counts"])
    assert found[0] == found[1]
    assert sum(found[0].values()) > 8
