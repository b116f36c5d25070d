"""Keys of the training: the preset, nested variants, lists from flags, and what is refused together."""

import pytest
import yaml

from ssl_pcb.cli.stages import stage_command
from ssl_pcb.config.load import as_yaml, load_config, parse_set
from ssl_pcb.config.optim import AdamConfig, ConstantConfig, CosineConfig, NormClipConfig, SGDConfig, StepConfig
from ssl_pcb.config.presets import PRESETS
from ssl_pcb.config.show import describe
from ssl_pcb.config.stages import STAGES
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.errors import UserError

PAPER = PRESETS["densenet_paper"].keys


def refusal(stage, overrides):
    with pytest.raises(UserError) as refused:
        load_config(STAGES[stage], None, overrides)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# Presets ----------------------------------------------------------------------------------------------------


def test_the_densenet_preset_is_the_papers_recipe():
    config = load_config(FinetuneConfig, beneath=[PAPER])
    assert config.optimizer == SGDConfig(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4, decay_all=True)
    assert config.training.schedule == StepConfig(milestones=(0.5, 0.75), factor=0.1)
    assert config.training.warmup == 0
    rest = {"optimizer": config.optimizer, "training": config.training}
    assert FinetuneConfig(**rest) == config  # and nothing else


@pytest.mark.parametrize("name", PRESETS)
def test_every_key_of_a_preset_is_a_key_of_finetune(name):
    assert PRESETS[name].keys.keys() <= {key.name for key in describe(FinetuneConfig)}
    assert not any(key.startswith("backbone.") for key in PRESETS[name].keys)  # --checkpoint brings its network


def test_a_preset_overrides_the_file_and_is_overridden_by_keys(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "optimizer: {name: lars, lr: 2.0}\ntraining: {epochs: 3, warmup: 0.3, schedule: {name: constant}}\n"
    )
    asked = {"optimizer.lr": 0.5, "training.schedule.factor": 0.2}
    config = load_config(FinetuneConfig, file, asked, beneath=[PAPER])
    assert config.optimizer == SGDConfig(lr=0.5, weight_decay=1e-4, decay_all=True)
    assert config.training.schedule == StepConfig(factor=0.2)
    assert (config.training.epochs, config.training.warmup) == (3, 0)


def test_another_variant_than_the_presets_leaves_none_of_its_keys():
    asked = {"optimizer.name": "adam", "training.schedule.name": "cosine"}
    config = load_config(FinetuneConfig, None, asked, beneath=[PAPER])
    assert config.optimizer == AdamConfig()
    assert config.training.schedule == CosineConfig()


def test_a_presets_config_is_the_same_when_read(tmp_path):
    config = load_config(FinetuneConfig, beneath=[PAPER])
    (tmp_path / "c.yaml").write_text(as_yaml(config))
    assert load_config(FinetuneConfig, tmp_path / "c.yaml") == config


def test_the_help_says_what_a_preset_sets_and_what_overrides_it():
    option = next(each for each in stage_command("finetune").params if each.opts == ["--preset"])
    assert "override --config and are overridden by flags and --set" in option.help
    assert "SGD with Nesterov momentum 0.9" in option.help
    assert not any(each.opts == ["--preset"] for each in stage_command("pretrain").params)


# Nested variants and lists ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("order", [1, -1])
def test_a_schedule_and_a_clipping_are_chosen_by_keys_in_any_order(stage, order):
    keys = ["training.schedule.name=step", "training.schedule.milestones=[0.3]", "training.clip.max_norm=5",
            "training.clip.name=norm"][::order]  # fmt: skip
    training = load_config(STAGES[stage], None, parse_set(keys)).training
    assert training.schedule == StepConfig(milestones=(0.3,))
    assert training.clip == NormClipConfig(max_norm=5)


def test_another_schedule_by_key_clears_the_files(tmp_path):
    (tmp_path / "c.yaml").write_text("training: {schedule: {name: step, milestones: [0.2], factor: 0.5}}\n")
    training = load_config(FinetuneConfig, tmp_path / "c.yaml", {"training.schedule.name": "constant"}).training
    assert training.schedule == ConstantConfig()
    kept = load_config(FinetuneConfig, tmp_path / "c.yaml", {"training.schedule.factor": 0.1}).training
    assert kept.schedule == StepConfig(milestones=(0.2,), factor=0.1)


@pytest.mark.parametrize("given", ["stem,stage1", "stem, stage1", "[stem, stage1]", "[stem,stage1]"])
def test_stages_to_freeze_are_words_with_commas_or_a_list(given):
    assert load_config(FinetuneConfig, None, parse_set([f"freeze={given}"])).freeze == ("stem", "stage1")
    assert load_config(FinetuneConfig, None, {"freeze": "stem"}).freeze == ("stem",)
    assert yaml.safe_load(as_yaml(load_config(FinetuneConfig, None, {"freeze": "a,b"})))["freeze"] == ["a", "b"]


@pytest.mark.parametrize(("key", "value"), [("ema", 0.99), ("patience", 4)])
def test_what_is_off_by_default_is_turned_on_and_off_again(tmp_path, key, value):
    (tmp_path / "c.yaml").write_text(f"{key}: {value}\n")
    assert getattr(load_config(FinetuneConfig, tmp_path / "c.yaml"), key) == value
    assert getattr(load_config(FinetuneConfig, tmp_path / "c.yaml", {key: "none"}), key) is None


# Refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "keys", "said"),
    [
        ("finetune", {"training.schedule.milestones": [0.5]},
         "training.schedule.milestones: belongs to training.schedule.name=step, not to the one in force; leave it out, "
         "or set that name too"),
        ("pretrain", {"training.schedule.name": "linear"},
         "training.schedule.name: 'linear' is not one of 'cosine', 'step', 'constant'"),
        ("finetune", {"training.schedule.name": "step", "training.schedule.milestones": [0.7, 0.5]},
         "training.schedule: milestones must ascend, each once, as in [0.5, 0.75]"),
        ("finetune", {"training.schedule.name": "step", "training.warmup": 0.6},
         "training: warmup=0.6 ends after the first milestone of schedule (0.5); lower it, or set a later milestone"),
        ("finetune", {"optimizer.name": "sgd", "optimizer.momentum": 0},
         "optimizer: nesterov=true needs momentum; set momentum above 0, or nesterov=false"),
        ("linear-eval", {"training.clip.name": "adaptive"},
         "training.clip: adaptive leaves the last layer alone, and this head has no other; set "
         "training.clip.name=norm"),
        ("finetune", {"backbone.init": "he", "backbone.weights": "timm", "checkpoint": "none"},
         "backbone: init=he draws other weights than weights=timm; set one of them alone"),
        ("finetune", {"backbone.init": "he"},
         "backbone.init: he draws other weights than checkpoint=auto brings; set --checkpoint none, or leave "
         "backbone.init out"),
        ("pretrain", {"backbone.init": "he", "checkpoint": "runs/x"},
         "backbone.init: he draws other weights than checkpoint=runs/x brings; set --checkpoint none, or leave "
         "backbone.init out"),
        ("finetune", {"freeze": "stem", "downsizer": {}},
         "freeze: behind a downsizer the network begins at random, and all of it must learn; leave it out "
         "(downsizer.frozen is about the downsizer's own stages)"),
        ("finetune", {"layer_decay": 0.5, "downsizer": {}},
         "layer_decay: behind a downsizer the network begins at random, and all of it must learn; leave it out "
         "(downsizer.frozen is about the downsizer's own stages)"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(stage, keys, said):
    assert refusal(stage, keys) == said


@pytest.mark.parametrize(
    ("key", "value"),
    [("layer_decay", 0), ("layer_decay", 1.1), ("ema", 1), ("ema", 0), ("patience", 0), ("freeze", 3),
     ("training.schedule", "step")],
)  # fmt: skip
def test_out_of_bounds_names_its_key(key, value):
    assert refusal("finetune", {key: value}).startswith(f"{key}: ")


@pytest.mark.parametrize("key", ["layer_decay", "freeze", "ema", "patience"])
@pytest.mark.parametrize("stage", ["pretrain", "linear-eval"])
def test_other_stages_have_no_key_that_they_would_not_read(stage, key):
    assert refusal(stage, {key: 1}).startswith(f"{key}: unknown key")


@pytest.mark.parametrize(("epochs", "milestones"), [(1, "[0.5]"), (2, "[0.6]"), (4, "[0.8,0.9]")])
def test_a_rate_that_would_never_drop_is_refused(epochs, milestones):
    keys = {"training.schedule.name": "step", "training.epochs": epochs, "training.warmup": 0}
    line = refusal("finetune", keys | parse_set([f"training.schedule.milestones={milestones}"]))
    assert line.startswith("training: schedule: step drops the rate between epochs") or "none ends between" in line
    load_config(STAGES["finetune"], None, keys | {"training.epochs": 20})
