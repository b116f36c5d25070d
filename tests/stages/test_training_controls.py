"""Optimisers, schedules, clipping, freezing, layer decay, moving average and early stopping through the stages."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.load import read_yaml
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.stages import finetune as finetune_stage
from ssl_pcb.training import loop

BASE = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 2, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu",
}  # fmt: skip
PRETRAIN = BASE | {"method.hidden_dim": 16, "method.output_dim": 8}
FINETUNE = BASE | {"resamples": 100, "checkpoint": "runs/pre"}
PROBE = BASE | {"resamples": 100, "checkpoint": "none", "cs": [1.0], "ks": [1], "fractions": [1.0]}
STAGES = {"pretrain": PRETRAIN, "finetune": FINETUNE, "linear-eval": PROBE}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv``, its own cache, and a finished ``runs/pre``."""
    folder = tmp_path_factory.mktemp("controls")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest.read(synthetic_boards).write("m.csv")
        start("pretrain", "runs/pre")
        yield folder


def start(stage, out, *, resume=False, **keys):
    """Run a stage; two underscores stand for a dot."""
    asked = {} if resume else STAGES[stage] | {key.replace("__", "."): value for key, value in keys.items()}
    return run_stage(stage, None, asked | {"runtime.out": out}, resume=resume)


def rows(folder):
    return [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]


def tensors(folder, name="backbone"):
    return load_file(Path(folder) / f"{name}.safetensors")


def same_bits(first, second):
    pairs = [(tensors(first, name), tensors(second, name)) for name in ("backbone", "head")]
    return all(torch.equal(tensor, other[key]) for one, other in pairs for key, tensor in one.items())


# Optimisers, schedules, clipping ----------------------------------------------------------------------------

RECIPES = [
    {"optimizer__name": "adam", "training__schedule__name": "step", "training__clip__name": "norm"},
    {"optimizer__name": "sgd", "training__schedule__name": "constant", "training__clip__name": "adaptive"},
    {"optimizer__name": "lars", "training__schedule__name": "step", "training__clip__name": "none"},
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "-".join(recipe.values()))
@pytest.mark.parametrize("stage", STAGES)
def test_every_recipe_trains(workplace, stage, recipe):
    if stage == "linear-eval" and recipe["training__clip__name"] == "adaptive":
        recipe = recipe | {"training__clip__name": "norm"}
    folder = start(stage, f"{stage}-{recipe['optimizer__name']}", training__warmup=0, **recipe)
    if stage == "linear-eval":
        assert "gradient_head" in set(pd.read_json(folder / "metrics.jsonl", lines=True)["probe"])
        return
    first, last = rows(folder)
    assert last["lr"] == pytest.approx(first["lr"] * {"step": 0.1, "constant": 1}[recipe["training__schedule__name"]])
    assert ("gradient_norm" in last) == (recipe["training__clip__name"] == "norm")


def test_the_preset_expands_into_the_config_and_flags_win(workplace, ssl_pcb_cli):
    keys = [text for key, value in FINETUNE.items() for text in ("--set", f"{key}={json.dumps(value)}")]
    ended = ssl_pcb_cli("finetune", *keys, "--preset", "densenet_paper", "--lr", "0.02", "--out", "preset")
    assert ended.code == 0, ended.err
    config = read_yaml(Path("preset/config.yaml"))
    assert config["optimizer"] == {"name": "sgd", "lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4,
                                   "decay_all": True}  # fmt: skip
    assert config["training"]["schedule"] == {"name": "step", "milestones": [0.5, 0.75], "factor": 0.1}
    assert [row["lr"] for row in rows("preset")] == pytest.approx([0.02, 0.002])
    assert "starting from checkpoint runs/pre" in ended.out
    assert "--preset" not in ended.err
    assert ssl_pcb_cli("finetune", *keys, "--preset", "resnet", "--out", "no").code == 2


def test_what_a_chosen_variant_drops_of_a_preset_is_said(workplace, ssl_pcb_cli):
    keys = [text for key, value in FINETUNE.items() for text in ("--set", f"{key}={json.dumps(value)}")]
    ended = ssl_pcb_cli("finetune", *keys, "--preset", "densenet_paper", "--optimizer", "adam", "--out", "dropped")
    assert ended.code == 0, ended.err
    assert read_yaml(Path("dropped/config.yaml"))["optimizer"]["name"] == "adam"
    (line,) = [line for line in ended.err.splitlines() if line.startswith("--preset: ")]
    assert {"optimizer.lr", "optimizer.momentum", "optimizer.nesterov"} <= set(line.replace(",", "").split())
    assert "training.schedule" not in line


def test_he_begins_network_and_head(workplace):
    start("finetune", "he", checkpoint="none", backbone__init="he", optimizer__lr=1e-12, training__epochs=1)
    start("finetune", "own", checkpoint="none", optimizer__lr=1e-12, training__epochs=1)
    he, own = tensors("he"), tensors("own")
    key = "network.layer1.0.conv1.weight"
    assert he[key].std() != pytest.approx(own[key].std().item(), rel=1e-3)
    bias = "layer.bias"
    assert tensors("he", "head")[bias].abs().max() < 1e-6 < tensors("own", "head")[bias].abs().max()


def test_a_checkpoint_that_began_as_he_brings_its_network_and_its_weights(workplace):
    start("pretrain", "he-pre", backbone__init="he", training__epochs=1)
    keys = {key: value for key, value in FINETUNE.items() if not key.startswith("backbone")}
    run_stage("finetune", None, keys | {"checkpoint": "he-pre", "runtime.out": "he-heir"}, resume=False)
    assert read_yaml(Path("he-heir/config.yaml"))["backbone"]["init"] == "own"


def test_a_network_without_normalisation_is_advised_in_the_log(workplace):
    folder = start("finetune", "nf", backbone__name="test_nfnet", checkpoint="none", training__epochs=1)
    assert "training.clip.name=adaptive" in (folder / "log.txt").read_text()


# Freezing and layer decay -----------------------------------------------------------------------------------


def changed(folder):
    """Names of the weights and statistics that differ from those of ``runs/pre``."""
    before = tensors("runs/pre")
    return {
        name for name, tensor in tensors(folder).items() if name in before and not torch.equal(tensor, before[name])
    }


def test_frozen_stages_are_those_of_the_checkpoint(workplace, ssl_pcb_cli):
    keys = [text for key, value in FINETUNE.items() for text in ("--set", f"{key}={json.dumps(value)}")]
    ended = ssl_pcb_cli("finetune", *keys, "--freeze", "stem,stage1", "--set", "ema=0.5", "--out", "frozen")
    assert ended.code == 0, ended.err
    assert "random" not in ended.out
    frozen = ("network.conv1.", "network.bn1.", "network.layer1.")
    moved = changed("frozen")
    assert not any(name.startswith(frozen) for name in moved)
    assert {"network.layer2.0.bn1.running_mean", "network.layer4.0.conv1.weight"} <= moved
    start("linear-eval", "frozen-probed", checkpoint="frozen")  # its weights are those of any other run
    state = torch.load("frozen/state.pt", weights_only=True)
    learning = {name for name in state["objective"] if name.endswith((".weight", ".bias"))}
    still = {name for name in learning if name.startswith(tuple(f"backbone.{each}" for each in frozen))}
    assert len(state["optimizer"]["state"]) == len(learning - still)  # of all others, moments


def test_with_all_stages_frozen_the_head_alone_learns(workplace):
    folder = start("finetune", "all-frozen", freeze="stem,stage1,stage2,stage3,stage4", runtime__precision="auto")
    assert changed(folder) == set()
    assert rows(folder)[0]["loss"] != rows(folder)[1]["loss"]


def test_an_unknown_stage_is_refused_before_anything_is_written(workplace):
    with pytest.raises(UserError, match=r"^freeze: 'test_resnet' has no stage9, only stem, stage1, .*, stage4$"):
        start("finetune", "unknown", freeze="stage9")
    assert not Path("unknown").exists()


def test_random_stages_that_stay_so_are_warned_of(workplace):
    folder = start("finetune", "random", checkpoint="none", freeze="stem", training__epochs=1)
    assert "these stages are random and stay so" in (folder / "log.txt").read_text()


def test_layers_near_the_input_move_less_under_layer_decay(workplace):
    before, moved = tensors("runs/pre"), {}
    for decay in (1.0, 0.1):
        after = tensors(start("finetune", f"decay-{decay}", layer_decay=decay))
        moved[decay] = {
            layer: (after[f"network.{layer}.0.conv1.weight"] - before[f"network.{layer}.0.conv1.weight"]).abs().mean()
            for layer in ("layer1", "layer4")
        }
    assert moved[1.0]["layer1"] > 0.3 * moved[1.0]["layer4"]
    assert moved[0.1]["layer1"] < 0.05 * moved[0.1]["layer4"]
    assert rows("decay-0.1")[0]["lr"] == rows("decay-1.0")[0]["lr"]  # the head's


# Moving average ---------------------------------------------------------------------------------------------


def test_an_average_that_forgets_at_once_is_the_network_and_a_slow_one_is_not(workplace):
    keys = {"optimizer__lr": 0.01}
    plain, quick, slow = (start("finetune", f"ema-{decay}", ema=decay, **keys) for decay in ("none", 1e-6, 0.99))
    found = {folder.name: [row["val_auroc"] for row in rows(folder)] for folder in (plain, quick, slow)}
    assert found["ema-1e-06"] == pytest.approx(found["ema-none"], abs=0.02)
    assert found["ema-0.99"] != found["ema-none"]
    assert [row["loss"] for row in rows(slow)] == [row["loss"] for row in rows(plain)]  # it does not touch the training


def test_what_is_kept_is_the_average(workplace):
    folder = start("finetune", "ema-kept", ema=0.9)
    best = max(rows(folder), key=lambda row: row["val_average_precision"])
    report = json.loads((folder / "summary.json").read_text())["reports"]["val"]["metrics"]
    assert report["average_precision"]["value"] == pytest.approx(best["val_average_precision"])
    state = torch.load(folder / "state.pt", weights_only=True)
    average = {name.removeprefix("module."): tensor for name, tensor in state["average"].items()}
    last = state["epoch"] == state["kept"]["epoch"]
    assert all(torch.equal(tensor, average[name]) for name, tensor in state["kept"]["model"].items()) is last
    assert not torch.equal(average["classifier.head.layer.weight"], state["objective"]["classifier.head.layer.weight"])


# Early stopping ---------------------------------------------------------------------------------------------

MEASURED = [0.5, 0.6, 0.55, 0.6, 0.4, 0.9]
"""Planted: best after two epochs, equalled but not bettered in the next three, better later."""


def measuring(patch, begun=0):
    planted = iter(MEASURED[begun:])
    patch.setattr(finetune_stage, "average_precision_score", lambda labels, scores: next(planted))


def test_it_stops_when_nothing_was_better_for_long_enough(workplace, monkeypatch):
    with monkeypatch.context() as patch:
        measuring(patch)
        patient = start("finetune", "patient", training__epochs=6, patience=3)
    assert [row["epoch"] for row in rows(patient)] == [1, 2, 3, 4, 5]
    assert [row["best"] for row in rows(patient)] == [0.5, 0.6, 0.6, 0.6, 0.6]
    summary = json.loads((patient / "summary.json").read_text())
    assert (summary["epochs"], summary["best_epoch"]) == (5, 4)  # of equals the last
    log = (patient / "log.txt").read_text()
    assert "stopped after epoch 5 of 6: validation average_precision was no better in the last 3" in log
    assert "kept epoch: 4 of 6" in log
    assert "expected: at most about" in log
    with monkeypatch.context() as patch:
        measuring(patch)
        long = start("finetune", "long", training__epochs=6)
    assert len(rows(long)) == 6
    assert [row["lr"] for row in rows(long)][:5] == [row["lr"] for row in rows(patient)]
    assert not same_bits(patient, long)
    assert "at most" not in (long / "log.txt").read_text()


def test_patience_of_another_measure_looks_at_that(workplace, monkeypatch):
    with monkeypatch.context() as patch:
        measuring(patch)
        patch.setattr(finetune_stage, "roc_auc_score", lambda labels, scores: 0.7)
        folder = start("finetune", "auroc", training__epochs=6, patience=1, select="auroc")
    assert [row["epoch"] for row in rows(folder)] == [1, 2]


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("last", [4, 5])
def test_with_everything_on_a_run_cut_off_ends_as_one_that_was_not(workplace, monkeypatch, last):
    """Cut off while it waits, and after the decision to stop."""
    keys = {
        "training__epochs": 6, "patience": 3, "ema": 0.9, "training__clip__name": "norm",
        "training__clip__max_norm": 0.1, "training__schedule__name": "step", "optimizer__name": "sgd",
        "layer_decay": 0.7, "freeze": "stem", "backbone__drop_rate": 0.3,
    }  # fmt: skip
    if not Path("everything").exists():
        with monkeypatch.context() as patch:
            measuring(patch)
            start("finetune", "everything", **keys)

    def cut_off(folder, **parts):
        saved(folder, **parts)
        if parts["epoch"] == last:
            raise Killed

    saved = loop.save_state
    with monkeypatch.context() as patch:
        measuring(patch)
        patch.setattr(loop, "save_state", cut_off)
        with pytest.raises(Killed):
            start("finetune", f"cut-{last}", **keys)
    with monkeypatch.context() as patch:
        measuring(patch, last)
        cut = start("finetune", f"cut-{last}", resume=True)
    assert [row["epoch"] for row in rows(cut)] == [1, 2, 3, 4, 5]
    assert same_bits("everything", cut)
    assert [row["loss"] for row in rows(cut)] == [row["loss"] for row in rows("everything")]
