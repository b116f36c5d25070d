"""The three commands as they stand: the recommended pretraining, and what comes after it takes its network."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from ssl_pcb.config.load import load_config
from ssl_pcb.config.presets import PRESETS, recipe, recipe_for
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.supervised import FinetuneConfig

SETS = {
    "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8, "training.epochs": 1,
    "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous", "runtime.device": "cpu",
}  # fmt: skip
JUDGED = {"resamples": 100}


def run(cli, stage, out, *flags, **keys):
    keys = {key.replace("__", "."): value for key, value in keys.items()}
    sets = [f"--set={key}={value}" for key, value in keys.items()]
    ended = cli(stage, "--data", "m.csv", "--out", f"runs/{out}", *flags, *sets)
    assert ended.code == 0, ended.err
    return yaml.safe_load(Path(f"runs/{out}/config.yaml").read_text()), ended


def test_the_recipe_is_the_row_of_the_results():
    """All but what every user chooses: size, data, threads."""
    row = yaml.safe_load(Path(__file__).parents[2].joinpath("configs/pretrain/few_labels_exact.yaml").read_text())
    made = load_config(PretrainConfig, None, beneath=[recipe(64)]).model_dump(mode="json")
    for group in ("method", "view", "backbone", "optimizer", "training"):
        assert made[group] == row[group]


def test_the_preset_for_few_labels_is_the_row_of_the_results():
    """As its finalists have it: the row's rate was another."""
    row = yaml.safe_load(Path(__file__).parents[2].joinpath("configs/finetune/few_labels_painted.yaml").read_text())
    made = load_config(FinetuneConfig, beneath=[PRESETS["few_labels"].keys]).model_dump(mode="json")
    chosen = {"data", "runtime", "backbone", "head_start", "optimizer"}
    assert {key: value for key, value in made.items() if key not in chosen} == {
        key: value for key, value in row.items() if key not in chosen
    }
    assert (made["head_start"], made["optimizer"]) == ("probe", row["optimizer"] | {"lr": 3e-4})


@pytest.mark.parametrize(
    ("asked", "is_recipe"),
    [
        ({}, True), ({"training.epochs": 2, "backbone.name": "densenet121"}, True), ({"method.name": "simclr"}, False),
        ({"method.name": "defect_pretext", "method.trim": 0.1}, True), ({"method.hard_negatives": "synthetic"}, False),
        ({"data.references": True}, True), ({"method.defect.min_size": 5}, True), ({"method.hidden_dim": 8}, False),
        ({"method.hard_negatives": "synthetic", "method.defect.min_size": 5}, False), ({"backbone.neck": 10}, True),
        ({"checkpoint": "runs/a"}, False), ({"checkpoint": "none"}, True),
    ],
)  # fmt: skip
def test_whoever_chooses_a_method_does_not_get_it(asked, is_recipe):
    left_open = {key: value for key, value in recipe(128).items() if key not in asked or key == "method.name"}
    assert recipe_for("pretrain", asked) == (left_open if is_recipe else {})
    assert recipe_for("finetune", asked) == {}


def test_whoever_names_the_method_gets_all_of_the_recipe():
    asked = {"method.name": "defect_pretext", "method.trim": 0.1}
    made = load_config(PretrainConfig, None, asked, beneath=[recipe_for("pretrain", asked)])
    bare = load_config(PretrainConfig, None, beneath=[recipe_for("pretrain", {})])
    assert (
        made.model_dump()
        == bare.model_copy(update={"method": bare.method.model_copy(update={"trim": 0.1})}).model_dump()
    )


@pytest.mark.parametrize(
    ("asked", "strides"),
    [
        ({}, [16, 32]), ({"data.image_size": 64}, [8, 16]), ({"data.image_size": 80, "data.context": 8}, [8, 16]),
        ({"data.image_size": 160, "data.context": 16}, [16, 32]), ({"data.image_size": 256}, [16, 32]),
        ({"data.context": 16}, [16, 32]), ({"data.context": 32}, [8, 16]), ({"data.image_size": "large"}, [16, 32]),
        ({"data.image_size": "64"}, [8, 16]), ({"data.image_size": "80", "data.context": 8}, [8, 16]),
    ],
)  # fmt: skip
def test_cells_of_the_map_grow_with_the_tile_that_the_network_sees(asked, strides):
    assert recipe_for("pretrain", asked)["backbone.strides"] == strides


def test_the_flag_of_the_size_chooses_the_strides_too(workplace, ssl_pcb_cli):
    sets = {key: value for key, value in SETS.items() if key != "data.image_size"}
    flagged, _ = run(ssl_pcb_cli, "pretrain", "flagged", "--image-size", "32", **sets)
    assert flagged["backbone"]["strides"] == [8, 16]


def test_config_show_tells_the_recipe_from_the_defaults(ssl_pcb_cli):
    shown = ssl_pcb_cli("config", "show", "pretrain").out
    assert "[default: avg; of a bare 'ssl-pcb pretrain': max]" in shown
    assert "[default: adamw]" in shown
    assert "of a bare" not in ssl_pcb_cli("config", "show", "finetune").out


def test_the_file_that_config_show_prints_does_what_the_bare_command_does(workplace, ssl_pcb_cli):
    Path("shown.yaml").write_text(ssl_pcb_cli("config", "show", "pretrain", "--yaml").out)
    sets = {key: value for key, value in SETS.items() if key != "data.image_size"}  # by which strides would differ
    bare, _ = run(ssl_pcb_cli, "pretrain", "bare", **sets)
    by_file, _ = run(ssl_pcb_cli, "pretrain", "by_file", "--config", "shown.yaml", **sets)
    assert by_file | {"runtime": None} == bare | {"runtime": None}


def test_a_file_that_says_nothing_of_the_method_leaves_the_recipe(workplace, ssl_pcb_cli):
    Path("short.yaml").write_text("training: {epochs: 1}\nbackbone: {pool: max, strides: [8, 16]}\n")
    found, ended = run(ssl_pcb_cli, "pretrain", "by_short_file", "--config", "short.yaml", **SETS)
    assert "painted defects, as README recommends" in ended.out
    assert (found["method"]["name"], found["backbone"]["neck"], found["backbone"]["strides"]) == (
        "defect_pretext", 7, [8, 16],
    )  # fmt: skip


def test_a_pretraining_that_goes_on_keeps_its_method_unless_told_otherwise(workplace, ssl_pcb_cli):
    first, _ = run(ssl_pcb_cli, "pretrain", "first", **SETS, view__photometry__noise=0.2)
    rest = {key: value for key, value in SETS.items() if not key.startswith("backbone")}
    on, ended = run(ssl_pcb_cli, "pretrain", "on", "--checkpoint", "runs/first", **rest)
    assert "goes on with defect_pretext, as runs/first began" in ended.out
    assert (on["method"], on["view"], on["backbone"]) == (first["method"], first["view"], first["backbone"])
    other, ended = run(ssl_pcb_cli, "pretrain", "other", "--checkpoint", "runs/first", "--method", "simclr", **rest)
    assert "goes on with" not in ended.out
    assert other["method"]["name"] == "simclr"


def test_what_comes_after_takes_the_newest_run_and_its_network(workplace, ssl_pcb_cli):
    painted, ended = run(ssl_pcb_cli, "pretrain", "painted", **SETS)
    assert "painted defects, as README recommends" in ended.out
    assert (painted["method"]["name"], painted["backbone"]["neck"]) == ("defect_pretext", 7)
    rest = {key: value for key, value in SETS.items() if not key.startswith("backbone")} | JUDGED
    tuned, _ = run(ssl_pcb_cli, "finetune", "tuned", **rest)
    assert tuned["backbone"] == painted["backbone"]
    assert tuned["checkpoint"] == "runs/painted"
    tuned, _ = run(ssl_pcb_cli, "finetune", "tuned-over", "--tta", "symmetries", **rest)  # is how it judges, no network
    over = painted["backbone"] | {"tta": "symmetries"}
    assert (tuned["backbone"], tuned["checkpoint"]) == (over, "runs/painted")
    Path("over.yaml").write_text("backbone: {tta: symmetries}\n")
    tuned, _ = run(ssl_pcb_cli, "finetune", "tuned-by-file", "--config", "over.yaml", **rest)
    assert (tuned["backbone"], tuned["checkpoint"]) == (over, "runs/painted")
    plain, ended = run(ssl_pcb_cli, "pretrain", "plain", "--method", "simclr", **SETS, method__hidden_dim=8)
    assert "as README recommends" not in ended.out
    assert (plain["method"]["name"], plain["backbone"]["neck"]) == ("simclr", 0)
    tuned, _ = run(ssl_pcb_cli, "finetune", "tuned-plain", **rest)
    assert (tuned["backbone"]["neck"], tuned["checkpoint"]) == (0, "runs/plain")


def test_runs_that_cannot_be_used_are_passed_over(workplace, ssl_pcb_cli):
    """A stream's, one whose config no longer holds, and one by another network, which is said."""
    run(ssl_pcb_cli, "pretrain", "usable", **SETS)
    for name, data in {"streamed": {}, "damaged": {"manifest": "m.csv"}}.items():
        shutil.copytree("runs/usable", f"runs/{name}")
        file = Path(f"runs/{name}/run.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"data": data, "ended": "2999-01-01"}))
    Path("runs/damaged/config.yaml").write_text("monitor_evry: 3")
    rest = {key: value for key, value in SETS.items() if not key.startswith("backbone")} | JUDGED
    probed, ended = run(ssl_pcb_cli, "linear-eval", "probed", **rest, cs="[0.1]", ks="[1]", fractions="[1.0]")
    assert probed["checkpoint"] == "runs/usable"
    assert "runs/damaged: is passed over" in ended.out + ended.err
    absolute = ssl_pcb_cli(
        "finetune",
        "--data",
        Path("m.csv").resolve(),
        "--out",
        "runs/absolute",
        *(f"--set={k}={v}" for k, v in rest.items()),
    )
    assert absolute.code == 0, absolute.err
    assert yaml.safe_load(Path("runs/absolute/config.yaml").read_text())["checkpoint"] == "runs/usable"
    named, ended = run(ssl_pcb_cli, "finetune", "named", **rest, backbone__name="test_resnet", backbone__norm="group")
    assert named["checkpoint"] == "none"
    assert (
        "was pretrained on this data with another network than this one; to start from it, name it with"
        in ended.out + ended.err
    )


def test_a_network_that_gives_out_no_maps_is_refused_in_one_line(workplace, ssl_pcb_cli):
    sets = [f"--set={key}={value}" for key, value in SETS.items() if key != "backbone.name"]
    ended = ssl_pcb_cli("pretrain", "--data", "m.csv", "--out", "runs/mixer", "--backbone", "mixer_s16_224", *sets)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "gives out no maps of pictures of" in ended.err
    assert not Path("runs/mixer").exists()


def test_a_run_of_another_method_is_resumed_as_it_is(workplace, ssl_pcb_cli):
    run(ssl_pcb_cli, "pretrain", "cut", "--method", "simclr", **SETS, method__hidden_dim=8)
    file = Path("runs/cut/run.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"status": "interrupted"}))
    ended = ssl_pcb_cli("pretrain", "--resume", "--out", "runs/cut")
    assert ended.code == 0, ended.err
    assert yaml.safe_load(Path("runs/cut/config.yaml").read_text())["method"]["name"] == "simclr"
