"""Options compose: a random sample of valid combinations trains, and the others are refused with one line."""

import json
import random
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.load import load_config
from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.model import HeadConfig
from ssl_pcb.config.optim import OptimizerConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.config.sampler import SamplerConfig
from ssl_pcb.config.stages import STAGES
from ssl_pcb.errors import UserError

COUNT = 60
BASE = {
    "data.manifest": "m.csv", "data.image_size": 32, "training.batch_size": 8, "training.epochs": 2, "resamples": 100,
    "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous", "runtime.device": "cpu",
    "checkpoint": "none", "optimizer.lr": 1e-3,
}  # fmt: skip
OWN = {
    "finetune": {"steps_per_epoch": 2},
    "crossval": {"steps_per_epoch": 2, "folds": 2},
    "linear-eval": {"fractions": [1.0], "cs": [1.0], "ks": [1]},
}


def names(union: Any) -> list[str]:
    return [variant().name for variant in get_args(get_args(union)[0])]


SHARED = {
    "sampler.name": names(SamplerConfig),
    "loss.name": names(LossConfig),
    "optimizer.name": names(OptimizerConfig),
    "training.schedule.name": ["cosine", "step", "constant"],
    "training.clip.name": ["none", "norm", "adaptive"],
    "backbone.name": ["test_resnet", "test_efficientnet", "test_nfnet"],
    "backbone.strides": [[], [8], [4, 8]],
    "backbone.pool": ["avg", "max", "gem"],
    "backbone.init": ["own", "he"],
    "backbone.norm": ["own", "group"],
    "backbone.tta": ["none", "symmetries"],
    "test_balance": ["natural", "balanced"],
}
SUPERVISED = SHARED | {
    "augment.name": names(AugmentConfig),
    "head.name": names(HeadConfig),
    "head_start": ["random", "probe"],
    "backbone.antialias": [False, True],
    "ema": [None, 0.9],
    "freeze": [[], ["stem"], ["stem", "stage1"]],
    "layer_decay": [1.0, 0.7],
    "fraction": [1.0, 0.5],
}
FINETUNE = SUPERVISED | {"select": ["auroc", "average_precision", "last"], "patience": [None, 1]}
CROSSVAL = {key: values for key, values in SUPERVISED.items() if key != "head_start"}
OPTIONS = {"finetune": FINETUNE, "crossval": CROSSVAL, "linear-eval": SHARED}


def sample(count: int, seed: int) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """``count`` combinations that the config takes, and what the others on the way were refused with."""
    rng, found, refused = random.Random(seed), [], []
    while len(found) < count:
        stage = rng.choice(["finetune", "finetune", "finetune", "crossval", "linear-eval"])
        keys = {key: rng.choice(values) for key, values in OPTIONS[stage].items()}
        if not keys["backbone.strides"]:
            del keys["backbone.pool"]
        if keys.get("backbone.antialias"):
            keys["backbone.name"] = "resnet18"
        if keys["backbone.name"] == "test_nfnet":  # has no norm that could be another; that is known once it is built
            del keys["backbone.norm"]
        try:
            load_config(STAGES[stage], None, BASE | OWN[stage] | keys)
        except UserError as error:
            refused.append(str(error))
        else:
            found.append((stage, keys))
    return found, refused


def test_what_does_not_go_together_is_refused_in_one_line_that_names_a_key():
    _, refused = sample(COUNT, seed=0)
    assert refused
    for line in refused:
        assert "\n" not in line
        assert line.split(":")[0].split(".")[0] in {key.split(".")[0] for key in [*BASE, *FINETUNE]}, line


def test_every_option_stands_in_the_sample():
    found, _ = sample(COUNT, seed=0)
    for key in ("sampler.name", "loss.name", "augment.name", "optimizer.name", "head.name"):
        assert {keys[key] for _, keys in found if key in keys} == set(FINETUNE[key]), key


@pytest.mark.slow
@pytest.mark.parametrize("number", range(COUNT))
def test_a_valid_combination_trains_and_judges(number, workplace):
    stage, keys = sample(COUNT, seed=0)[0][number]
    out = Path(str(number))
    run_stage(stage, None, BASE | OWN[stage] | keys | {"runtime.out": str(out)}, resume=False)
    report = json.loads((out / "summary.json").read_text())["reports"]["val"]
    assert 0 <= report["metrics"]["auroc"]["value"] <= 1
    assert report["balance"] == keys["test_balance"]
    file = next(file for file in (out / "predictions.csv", out / "random_init_predictions.csv") if file.exists())
    assert np.isfinite(pd.read_csv(file)["score"]).all()
