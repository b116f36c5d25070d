"""Configs: the files in configs/, the defaults in help texts, and what wrong keys are answered."""

import re
import shlex
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml
from pydantic import BaseModel

from ssl_pcb.cli.stages import FLAGS, stage_command
from ssl_pcb.config.augment import StandardConfig
from ssl_pcb.config.load import as_yaml, explain, flatten, load_config, parse_set
from ssl_pcb.config.loss import CrossEntropyConfig, SupConConfig
from ssl_pcb.config.loss_checks import refuse_two_labels
from ssl_pcb.config.margin_losses import LargeMarginSoftmaxConfig, LDAMConfig
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig
from ssl_pcb.config.operations import AugMixConfig
from ssl_pcb.config.optim import AdamWConfig, LARSConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.config.presets import RECIPE
from ssl_pcb.config.show import describe
from ssl_pcb.config.stages import STAGES
from ssl_pcb.errors import UserError
from ssl_pcb.stages.sweep_plan import plan_runs, read_sweep

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"crossval": "crossval", "pretrain": "pretrain", "linear_eval": "linear-eval", "finetune": "finetune"}
FILES = sorted(file for folder in FOLDERS for file in (ROOT / "configs" / folder).rglob("*.yaml"))


def folder_of(file):
    """The folder of ``configs/`` that ``file`` lies in, perhaps deeper."""
    return file.relative_to(ROOT / "configs").parts[0]


def refusal(stage, overrides, file=None):
    with pytest.raises(UserError) as refused:
        load_config(STAGES[stage], file, overrides)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def leaves(model: BaseModel, prefix=""):
    """Dotted keys of a config object, found by walking the object itself."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        yield from leaves(value, f"{prefix}{name}.") if isinstance(value, BaseModel) else [prefix + name]


# Files ------------------------------------------------------------------------------------------------------


def test_every_stage_has_a_config_file():
    assert {folder_of(file) for file in FILES} >= FOLDERS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT / "configs").as_posix())
def test_a_config_file_is_complete_and_opens_with_its_command(file):
    stage, text = FOLDERS[folder_of(file)], file.read_text(encoding="utf-8")
    config = load_config(STAGES[stage], file)
    said = yaml.safe_load(text)
    assert set(flatten(said)) == set(flatten(config.model_dump(mode="json")))
    words = shlex.split(text.splitlines()[0].removeprefix("#"))
    assert text.startswith("# ssl-pcb ")
    assert words[:4] == ["ssl-pcb", stage, "--config", file.relative_to(ROOT).as_posix()]
    stage_command(stage).make_context(stage, words[2:])  # its flags are real


@pytest.mark.parametrize("file", sorted((ROOT / "configs" / "sweeps").glob("*.yaml")), ids=lambda file: file.name)
def test_a_sweep_says_what_each_entry_asks_and_all_of_its_runs_can_be_made(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    asked = read_sweep(file)
    assert all(entry.asks.endswith((".", "?", ")")) for entry in asked.runs)
    assert {run.entry for run in plan_runs(asked, Path("out"))} == {entry.name for entry in asked.runs}
    words = shlex.split(file.read_text(encoding="utf-8").splitlines()[0].removeprefix("#"))
    assert words[:3] == ["ssl-pcb", "sweep", file.relative_to(ROOT).as_posix()]


def test_a_written_config_is_the_same_when_read(tmp_path):
    for stage, schema in STAGES.items():
        config = load_config(schema, None, {"runtime.out": "a b", "optimizer.name": "lars"})
        (tmp_path / f"{stage}.yaml").write_text(as_yaml(config))
        assert load_config(schema, tmp_path / f"{stage}.yaml") == config


# Help and show ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_show_lists_every_leaf_with_a_meaning(stage):
    schema = STAGES[stage]
    keys = describe(schema)
    assert {key.name for key in keys} >= set(leaves(schema()))
    assert {"optimizer.momentum"} <= {key.name for key in keys}  # of a variant that is not the default
    assert all(len(key.meaning) > 3 and key.type for key in keys)


@pytest.mark.parametrize("stage", STAGES)
def test_shown_defaults_are_the_schemas(stage):
    values = flatten(STAGES[stage]().model_dump(mode="json"))
    shown = {key.name: key.default for key in reversed(describe(STAGES[stage]))}  # of variants, the first
    for key, value in values.items():
        said = None if value is None and shown[key] == "none" else yaml.safe_load(shown[key])
        if isinstance(value, float):  # YAML takes 1e-05 for text
            assert float(said) == pytest.approx(value, rel=1e-5), key
        elif isinstance(value, list):
            numbers = not any(isinstance(item, str) for item in value)
            assert ([float(item) for item in said] if numbers else said) == (pytest.approx(value) if numbers else value)
        else:
            assert said == value, key


@pytest.mark.parametrize("variant", get_args(get_args(AugmentConfig)[0]), ids=lambda variant: variant().name)
def test_each_variant_shows_its_own_defaults(variant):
    """Those of augment.view are another variant's each."""
    keys = [key for key in describe(STAGES["finetune"]) if variant().name in key.variant.split(", ")]
    shown = {key.name.removeprefix("augment."): key.default for key in keys}
    if not isinstance(getattr(type(variant()), "view", None), property):
        values = flatten(variant().model_dump(mode="json"))
        assert shown.keys() >= values.keys() - {"name"}
        for key, value in values.items():
            if isinstance(value, float | bool):
                assert yaml.safe_load(shown[key]) == pytest.approx(value), key


@pytest.mark.parametrize("stage", STAGES)
def test_defaults_in_help_are_the_schemas(stage):
    values = flatten(STAGES[stage]().model_dump(mode="json"))
    checked = 0
    for option in stage_command(stage).params:
        assert isinstance(option, click.Option)
        key = FLAGS.get(option.opts[0])
        said = re.search(r"\[default: (.*)\]$", option.help or "")
        if key is None or option.is_flag:
            continue
        default = values[key]
        assert said is not None, option.opts
        if key == "method.name":  # without a method it is the recipe's, not the schema's
            assert said[1].startswith(RECIPE[key])
            continue
        assert said[1] == (
            "none" if default is None else f"{default:g}" if isinstance(default, float) else str(default)
        )
        checked += 1
    assert checked >= 10


@pytest.mark.parametrize("stage", STAGES)
def test_the_promised_flags_exist(stage):
    flags = {option for param in stage_command(stage).params for option in param.opts}
    promised = {"--config", "--data", "--out", "--checkpoint", "--backbone", "--image-size", "--epochs", "--batch-size",
                "--seed", "--device", "--precision", "--resume", "--set"}  # fmt: skip
    judging = {"--sampler", "--loss", "--transductive", "--test-balance"}
    own = {"pretrain": set(), "linear-eval": judging | {"--test"}, "finetune": judging | {"--test"},
           "crossval": judging | {"--folds"}}  # fmt: skip
    assert flags >= promised | own[stage]


# Wrong keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "mend"),
    [
        ("training.epoch", "did you mean epochs?"),
        ("augment.view.geometry.rotatoin", "did you mean rotation?"),
        ("augment.view.photometry.nois", "did you mean noise?"),
        ("augment.view.geometry.random_crop.min_aera", "did you mean min_area?"),
        ("epochs", "did you mean training.epochs?"),
        ("optimizer.momentun", "did you mean momentum?"),
        ("seeed", "ssl-pcb config show"),
    ],
)
def test_an_unknown_key_names_itself_and_the_nearest(key, mend):
    line = refusal("finetune", {key: 1})
    assert line.startswith(f"{key}: unknown key")
    assert mend in line


def test_a_key_of_another_variant():
    line = refusal("finetune", {"optimizer.momentum": 0.9})
    assert line.startswith(
        "optimizer.momentum: belongs to optimizer.name=sgd, lars, not to the one in force; leave it out"
    )


def test_a_variant_named_without_its_key_is_told_where_it_goes():
    assert refusal("finetune", {"sampler": "natural"}) == (
        "sampler: is a group of keys, not one value; set sampler.name=natural"
    )
    assert refusal("finetune", {"data": 3}) == "data: is a group of keys, not one value"


def test_a_fault_of_several_keys_together_shows_none_of_them_alone():
    keys = {"method.name": "autoencoder", "method.mse": 0}
    assert refusal("pretrain", keys) == "method: mse, l1 and ssim are all 0; set one of them above 0"


@pytest.mark.parametrize(
    ("keys", "acts"),
    [
        ({"loss.beta": 0.9}, {"loss.class_weights": "effective_number"}),
        ({"loss.name": "supcon", "loss.weight": 0.2}, {"loss.mode": "joint"}),
        ({"loss.name": "ldam", "loss.beta": 0.9}, {"loss.reweight_after": 3}),
    ],
)
def test_a_value_that_nothing_would_read_is_refused(keys, acts):
    assert refusal("finetune", keys).endswith("alone; set that, or leave " + list(keys)[-1].split(".")[1] + " out")
    load_config(STAGES["finetune"], None, keys | acts)


def test_an_unknown_variant_names_the_known_ones():
    assert "'natural', 'dataset_undersample', 'epoch_undersample'" in refusal("finetune", {"sampler.name": "smote"})


@pytest.mark.parametrize(
    ("stage", "key", "value"),
    [
        ("finetune", "training.epochs", -1),
        ("finetune", "training.epochs", 0),
        ("linear-eval", "training.epochs", 0),
        ("pretrain", "training.epochs", 0),
        ("finetune", "training.batch_size", 1),
        ("finetune", "optimizer.lr", 0),
        ("finetune", "optimizer.lr", float("inf")),
        ("finetune", "optimizer.lr", float("nan")),
        ("finetune", "data.bit_depth", 17),
        ("finetune", "data.channels", 2),
        ("finetune", "data.image_size", 600.5),
        ("finetune", "runtime.seed", -1),
        ("finetune", "training", 3),
        ("pretrain", "method.temperature", 0),
        ("linear-eval", "cs", []),
        ("linear-eval", "fractions", []),
        ("linear-eval", "ks", "5"),
    ],
)
def test_a_value_out_of_bounds_names_its_key_as_the_user_wrote_it(stage, key, value):
    assert refusal(stage, {key: value}).startswith(f"{key}: ")


@pytest.mark.parametrize(("key", "value"), [("fractions", 0), ("fractions", 1.5), ("cs", -1), ("ks", 0)])
def test_each_entry_of_a_list_is_checked(key, value):
    assert refusal("linear-eval", {key: [1, value]}).startswith(f"{key}.1: ")


def test_a_key_of_several_types_says_all_it_may_be():
    line = refusal("finetune", {"data.bit_depth": 17})
    assert "'auto' or" in line
    assert "16" in line


MAPS = {"backbone.strides": [8, 16], "backbone.neck": 10, "backbone.pool": "max"}


@pytest.mark.parametrize(
    "network",
    [{}, {"backbone.strides": [8, 16]}, MAPS | {"backbone.neck": 8}, MAPS | {"backbone.pool": "avg_max"}],
)
def test_painted_defects_without_a_map_for_them_are_refused(network):
    line = refusal("pretrain", network | {"method.name": "defect_pretext"})
    assert line.endswith("set backbone.strides=[8,16], backbone.neck=10 and backbone.pool=max")


@pytest.mark.parametrize(
    ("method", "key", "value", "acts"),
    [
        ("simclr", "copies", 3, {"hard_negatives": "synthetic"}),
        ("simclr", "defect.null_share", 0.5, {"hard_negatives": "synthetic"}),
        ("defect_pretext", "temperature", 0.5, {"nt_xent_weight": 0.1}),
        ("defect_pretext", "output_dim", 64, {"nt_xent_weight": 0.1}),
        ("autoencoder", "noise", 0.2, {"corruption": "noise"}),
        ("autoencoder", "mask_size", 8, {"corruption": "mask"}),
        ("autoencoder", "defect.null_share", 0.5, {"corruption": "defect"}),
    ],
)
def test_a_methods_key_that_nothing_reads_is_refused_where_it_was_given(method, key, value, acts):
    network = MAPS if method == "defect_pretext" else {}
    keys = network | {"method.name": method, f"method.{key}": value}
    assert f"{key.split('.')[0]} acts with {next(iter(acts))}" in refusal("pretrain", keys)
    load_config(STAGES["pretrain"], None, keys | {f"method.{name}": each for name, each in acts.items()})


def test_augmix_needs_two_changed_copies():
    line = refusal("finetune", {"augment.name": "augmix", "augment.copies": 2})
    assert line.startswith("augment.copies: the Jensen-Shannon loss compares the clean picture with two changed ones; ")
    assert line.endswith("set 3 or more (got 2)")


@pytest.mark.parametrize("loss", [LargeMarginSoftmaxConfig(), LDAMConfig(), SupConConfig()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("augment", [MixUpConfig(), CutMixConfig(labels="area")], ids=lambda augment: augment.name)
def test_losses_that_take_one_class_refuse_two_labels(loss, augment):
    said = rf"^augment: {augment.name} gives .* two labels here, and loss \w+ takes one; set augment\.name=cutmix with "
    with pytest.raises(ValueError, match=said) as refused:
        refuse_two_labels(loss, augment)
    assert "\n" not in str(refused.value)
    refuse_two_labels(CrossEntropyConfig(), augment)
    for one_label in (CutMixConfig(), CutMixConfig(labels="kept"), AugMixConfig(), StandardConfig()):
        refuse_two_labels(loss, one_label)


def test_predictions_that_teach_the_network_nothing_are_not_held_together():
    keys = {"loss.name": "supcon", "augment.name": "augmix"}
    assert refusal("finetune", keys).startswith("augment.name: augmix holds predictions together, and those of ")
    load_config(STAGES["finetune"], None, keys | {"loss.mode": "joint"})


def test_random_crops_need_leave():
    crop = {"view.geometry.random_crop": {"min_area": 0.2}}
    assert "allow_crops=true" in refusal("pretrain", crop)
    assert "allow_crops=true" in refusal("finetune", {f"augment.{key}": value for key, value in crop.items()})
    allowed = load_config(STAGES["pretrain"], None, crop | {"view.geometry.allow_crops": True})
    assert allowed.view.geometry.random_crop.min_area == 0.2
    assert STAGES["pretrain"]().view.geometry.random_crop is None


# Overrides --------------------------------------------------------------------------------------------------


def test_changing_the_variant_clears_the_old_ones_keys(tmp_path):
    (tmp_path / "c.yaml").write_text("optimizer: {name: lars, lr: 2.0, momentum: 0.5}\n")
    config = load_config(STAGES["pretrain"], tmp_path / "c.yaml", {"optimizer.name": "adamw"})
    assert config.optimizer == AdamWConfig()
    again = load_config(STAGES["pretrain"], tmp_path / "c.yaml", {"optimizer.name": "lars", "optimizer.lr": 1.0})
    assert again.optimizer == LARSConfig(lr=1.0, momentum=0.5)


def test_what_is_left_open_in_a_variants_group_is_as_that_variant_has_it(tmp_path):
    (tmp_path / "c.yaml").write_text("augment: {name: augmix, view: {geometry: {rotation: 3}}}\n")
    asked = {"augment.name": "augmix", "augment.view.geometry.rotation": 3}
    for view in (
        load_config(STAGES["finetune"], tmp_path / "c.yaml").augment.view,
        load_config(STAGES["finetune"], None, asked).augment.view,
    ):
        assert view.geometry == AugMixConfig().view.geometry.model_copy(update={"rotation": 3})
        assert view.photometry == AugMixConfig().view.photometry
    mixed = load_config(
        STAGES["finetune"], None, {"augment.name": "cutmix", "augment.view.photometry.noise": 0}
    ).augment
    assert mixed.view.geometry.surroundings is False
    assert mixed.view.photometry.blur == CutMixConfig().view.photometry.blur


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_flags_does_not_matter(order):
    overrides = dict([("optimizer.lr", 0.5), ("optimizer.name", "lars")][::order])
    assert load_config(STAGES["pretrain"], None, overrides).optimizer == LARSConfig(lr=0.5)


def test_another_backbone_keeps_what_was_set_for_it(tmp_path):
    """A backbone's name is no variant: its other keys hold for every name."""
    (tmp_path / "c.yaml").write_text("backbone: {name: resnet18, weights: timm, drop_rate: 0.2}\n")
    backbone = load_config(STAGES["finetune"], tmp_path / "c.yaml", {"backbone.name": "resnet50"}).backbone
    assert (backbone.name, backbone.weights, backbone.drop_rate) == ("resnet50", "timm", 0.2)


def test_overrides_beat_the_file_and_the_file_beats_defaults(tmp_path):
    (tmp_path / "c.yaml").write_text("training: {epochs: 3, batch_size: 7}\n")
    training = load_config(STAGES["pretrain"], tmp_path / "c.yaml", {"training.epochs": 5}).training
    assert (training.epochs, training.batch_size, training.warmup) == (5, 7, 0.1)


def test_numbers_that_yaml_takes_for_text(tmp_path):
    assert yaml.safe_load("1e-3") == "1e-3"
    config = load_config(STAGES["finetune"], None, parse_set(["optimizer.lr=1e-3"]))
    assert config.optimizer.lr == 0.001
    (tmp_path / "c.yaml").write_text("optimizer: {lr: 5e-4}\n")
    assert load_config(STAGES["finetune"], tmp_path / "c.yaml").optimizer.lr == 0.0005


def test_set_reads_values_as_yaml():
    assert parse_set(["a.b=[1, 2]", "c=true", "d=x=y", "e="]) == {"a.b": [1, 2], "c": True, "d": "x=y", "e": None}
    for item in ("noequals", "=1"):
        with pytest.raises(UserError, match=r"key\.sub=value"):
            parse_set([item])


def test_explain_needs_no_known_key():
    """Even a fault of the whole config comes out as one line."""
    schema = STAGES["pretrain"]
    with pytest.raises(ValueError) as fault:  # noqa: PT011
        schema.model_validate([1])
    assert explain(fault.value, schema).startswith("config: ")
