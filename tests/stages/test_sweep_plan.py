"""From a sweep's file to its runs: what is asked for, under which names, and what is refused before anything runs."""

from pathlib import Path

import pytest
import yaml

from ssl_pcb.config.load import load_config
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.stages import sweep_plan
from ssl_pcb.stages.sweep_plan import chosen_runs, plan_runs, read_sweep

OUT = Path("runs/x")
ROOT = Path(__file__).resolve().parents[2]


def planned(tmp_path, text):
    (tmp_path / "s.yaml").write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    return plan_runs(read_sweep(tmp_path / "s.yaml"), OUT)


def refusal(tmp_path, text):
    with pytest.raises(UserError) as refused:
        planned(tmp_path, text)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_entries_and_grid_multiply_and_the_first_seed_comes_first(tmp_path):
    runs = planned(tmp_path, {
        "seeds": [3, 4], "keys": {"training": {"epochs": 2}, "checkpoint": "none"},
        "grid": {"loss.name": ["cross_entropy", "focal"], "optimizer.lr": [0.1, 0.2]},
        "runs": [{"name": "a"}, {"name": "b", "keys": {"backbone.name": "resnet34"}}],
    })  # fmt: skip
    names = [f"{who},loss={loss},lr={lr}" for who in "ab" for loss in ("cross_entropy", "focal") for lr in (0.1, 0.2)]
    assert [run.entry for run in runs] == names * 2
    assert [run.seed for run in runs] == [3] * 8 + [4] * 8
    last = runs[-1].config
    assert (last.backbone.name, last.loss.name, last.optimizer.lr) == ("resnet34", "focal", 0.2)
    assert (last.training.epochs, last.runtime.seed, last.checkpoint) == (2, 4, "none")
    assert len({run.folder for run in runs}) == 16


def test_chosen_entries_bring_what_they_are_compared_with(tmp_path):
    entries = [{"name": name, "keys": {"optimizer.lr": 0.1 / (1 + n)}} for n, name in enumerate(("base", *"abcd"))]
    entries[3]["against"] = "b"
    runs = planned(tmp_path, {"seeds": [0, 1], "keys": {"checkpoint": "none"}, "runs": entries})

    def chosen(*only):
        return [run.entry for run in chosen_runs(runs, only)]

    assert chosen("d") == ["base", "d"] * 2
    assert chosen("c") == ["base", "b", "c"] * 2
    assert chosen("base") == ["base"] * 2
    with pytest.raises(UserError, match="--only: 'e' is none of the sweep's entries, which are base, a, b, c, d"):
        chosen("d", "e")


def test_an_entry_has_stage_config_and_seeds_of_its_own(tmp_path):
    (tmp_path / "c.yaml").write_text("training: {epochs: 7}\n")
    runs = planned(tmp_path, {
        "seeds": [0, 1], "config": str(tmp_path / "c.yaml"),
        "runs": [{"name": "a"}, {"name": "folds", "stage": "crossval", "seeds": [5], "keys": {"folds": 4}}],
    })  # fmt: skip
    assert [(run.entry, run.stage, run.seed) for run in runs] == [
        ("a", "finetune", 0), ("folds", "crossval", 5), ("a", "finetune", 1),
    ]  # fmt: skip
    assert [run.config.training.epochs for run in runs] == [7, 7, 7]
    assert runs[1].config.folds == 4


def test_a_value_that_a_grid_gives_twice_is_refused(tmp_path):
    with pytest.raises(
        UserError, match="grid: a value is given twice, which makes 'loss=focal' two entries of one run"
    ):
        planned(tmp_path, {"grid": {"loss.name": ["focal", "focal"]}})


def test_a_long_name_makes_a_folder_that_every_system_takes(tmp_path):
    first, second = planned(
        tmp_path, {"runs": [{"name": "a" * 300}, {"name": "a" * 299 + "b", "keys": {"fraction": 0.5}}]}
    )
    assert len(first.folder.name) < 160
    assert first.folder != second.folder


def test_a_grid_alone_is_a_sweep(tmp_path):
    assert [run.entry for run in planned(tmp_path, "grid: {sampler.name: [natural, weighted]}")] == [
        "sampler=natural", "sampler=weighted",
    ]  # fmt: skip


def test_a_folder_belongs_to_its_keys(tmp_path):
    def folder(**keys):
        return planned(tmp_path, {"runs": [{"name": "a", "keys": keys}]})[0].folder

    plain = folder()
    assert folder(**{"training.epochs": 3}) != plain
    assert folder(**{"runtime.threads": 1, "runtime.ledger": "elsewhere.csv"}) == plain  # the same run, made elsewhere
    assert plain.parent == OUT


def test_a_folder_belongs_to_what_its_manifest_says(tmp_path):
    """A run on labels that were mended since is another one."""
    (tmp_path / "m.csv").write_text("path,label\na.png,Defective\n")
    asked = {"runs": [{"name": "a", "keys": {"data.manifest": str(tmp_path / "m.csv")}}]}
    (before,) = planned(tmp_path, asked)
    sweep_plan._digest.cache_clear()
    assert planned(tmp_path, asked)[0].folder == before.folder
    (tmp_path / "m.csv").write_text("path,label\na.png,NonDefective\n")
    sweep_plan._digest.cache_clear()
    assert planned(tmp_path, asked)[0].folder != before.folder


def test_an_entry_that_names_another_variant_has_nothing_of_the_sweeps(tmp_path):
    runs = planned(tmp_path, {
        "keys": {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.8}},
        "runs": [{"name": "a"}, {"name": "b", "keys": {"optimizer.name": "adamw"}},
                 {"name": "c", "preset": "densenet_paper", "keys": {"optimizer.name": "adam"}},
                 {"name": "d", "keys": {"auxiliary": {}, "optimizer.lr": 0.2}}],
    })  # fmt: skip
    assert [run.config.optimizer.name for run in runs] == ["sgd", "adamw", "adam", "sgd"]
    defaults = {
        name: load_config(FinetuneConfig, None, {"optimizer.name": name}).optimizer for name in ("adamw", "adam")
    }
    assert [run.config.optimizer for run in runs[1:3]] == [defaults["adamw"], defaults["adam"]]
    assert (runs[3].config.optimizer.lr, runs[3].config.optimizer.momentum) == (0.2, 0.8)
    assert runs[3].config.auxiliary is not None
    assert runs[0].config.auxiliary is None


def test_a_pretraining_is_what_the_command_makes_and_what_starts_from_it_has_its_network(tmp_path):
    plain = {"name": "simclr", "pretrain": {"keys": {"method.name": "simclr"}}}
    maps = {"config": str(ROOT / "configs/pretrain/few_labels_hard_negatives.yaml")}
    runs = planned(tmp_path, {
        "keys": {"data.image_size": 64, "backbone.tta": "symmetries"},
        "runs": [{"name": "as it is", "pretrain": {}}, plain, {"name": "file", "pretrain": maps},
                 {"name": "other end", "pretrain": maps, "keys": {"backbone.pool": "max"}}],
    })  # fmt: skip
    assert [run.before.config.method.name for run in runs] == ["defect_pretext", "simclr", "simclr", "simclr"]
    networks = [(run.config.backbone.strides, run.config.backbone.neck, run.config.backbone.pool) for run in runs]
    assert networks == [((8, 16), 7, "max"), ((), 0, "avg"), ((8, 16), 0, "avg_max"), ((8, 16), 0, "max")]
    assert all(run.config.backbone == run.before.config.backbone for run in runs)
    begun = {"name": "begun", "pretrain": {"keys": {"backbone.init": "he", "backbone.norm": "group"}}}
    (run,) = planned(tmp_path, {"runs": [begun]})
    assert (run.config.backbone.norm, run.config.backbone.init, run.before.config.backbone.init) == (
        "group",
        "own",
        "he",
    )
    (other,) = planned(
        tmp_path,
        {"runs": [{"name": "own", "pretrain": {}, "config": str(ROOT / "configs/finetune/few_labels_neck.yaml")}]},
    )
    assert other.config.backbone == other.before.config.backbone  # whatever network the stage's own file names


def test_a_name_is_no_path(tmp_path):
    (run,) = planned(tmp_path, {"runs": [{"name": "../../<b>/x y"}]})
    assert run.entry == "../../<b>/x y"
    assert run.folder.parent == OUT
    assert not set(run.folder.name) & set("/<> ")


def test_entries_that_start_from_the_same_pretraining_share_it(tmp_path):
    part = {"keys": {"training.epochs": 2}}
    one, two, other = planned(tmp_path, {
        "keys": {"data.image_size": 64, "backbone.name": "resnet34", "loss.name": "focal"},
        "runs": [{"name": "a", "pretrain": part}, {"name": "b", "stage": "linear-eval", "pretrain": part},
                 {"name": "c", "pretrain": {"keys": {"training.epochs": 3}}}],
    })  # fmt: skip
    assert one.before.folder == two.before.folder != other.before.folder
    assert one.config.checkpoint == str(one.before.folder)
    assert (one.before.config.data.image_size, one.before.config.backbone.name) == (64, "resnet34")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("runs: [{name: a, keys: {loss.nmae: focal}}]", ["runs.a: loss.nmae: unknown key", "did you mean name?"]),
        ("runs: [{name: a, keys: {training.epochs: 0}}]", ["runs.a: training.epochs"]),
        ("{keys: {test: true}, runs: [{name: a}]}", ["runs.a: test:", "set test=false"]),
        ("runs: [{name: a}, {name: a}]", ["two entries are named 'a'"]),
        ("runs: []", ["no entry"]),
        ("{grdi: {a: [1]}, runs: [{name: a}]}", ["grdi: unknown key", "grid"]),
        ("{baseline: z, runs: [{name: a}]}", ["'z' is none of", "a"]),
        ("{stage: pretrain, runs: [{name: a}]}", ["stage"]),
        ("{runs: [{name: a, stage: crossval, pretrain: {}}]}", ["crossval repeats a finished pretraining itself"]),
        ("runs: [{name: a, config: nowhere.yaml}]", ["runs.a: nowhere.yaml: no such config file"]),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_in_one_line_that_names_the_entry(tmp_path, text, parts):
    line = refusal(tmp_path, text)
    for part in parts:
        assert part in line


def test_an_entry_may_take_a_recipe_which_its_own_keys_override(tmp_path):
    runs = planned(tmp_path, {"keys": {"optimizer.lr": 0.5}, "runs": [
        {"name": "paper", "preset": "densenet_paper"},
        {"name": "slower", "preset": "densenet_paper", "keys": {"optimizer.lr": 0.01}},
    ]})  # fmt: skip
    assert [run.config.optimizer.lr for run in runs] == [0.1, 0.01]
    assert all(run.config.optimizer.name == "sgd" and run.config.optimizer.nesterov for run in runs)
    said = refusal(tmp_path, {"runs": [{"name": "a", "preset": "densenet"}]})
    assert said.endswith("runs.0.preset: input should be 'densenet_paper' or 'few_labels' (got 'densenet')")


def test_a_folders_name_does_not_hang_on_how_its_place_is_spelled(tmp_path):
    (tmp_path / "s.yaml").write_text("runs: [{name: a, pretrain: {keys: {training.epochs: 1}}}]")
    (tmp_path / "t.yaml").write_text("keys: {data.cache: elsewhere}\n" + (tmp_path / "s.yaml").read_text())
    names = {
        (run.folder.name, run.before.folder.name)
        for file in ("s.yaml", "t.yaml")
        for out in (Path("o"), tmp_path / "o")
        for run in plan_runs(read_sweep(tmp_path / file), out)
    }
    assert len(names) == 1


@pytest.mark.parametrize("where", ["keys", "grid"])
def test_a_probe_is_not_compared_by_what_it_has_no_use_for(tmp_path, where):
    """Its rows would be equal, whatever the loss, and look like a finding."""
    asked = {
        "keys": {"runs": [{"name": "a", "keys": {"loss.name": "focal"}}]},
        "grid": {"grid": {"loss.name": ["focal"]}},
    }
    said = refusal(tmp_path, {"stage": "linear-eval"} | asked[where])
    assert "loss.name: the leaderboard would rank linear-eval by its logistic probe" in said
    planned(tmp_path, {"stage": "linear-eval", "keys": {"reported_probe": "gradient_head"}} | asked[where])
    planned(tmp_path, {"stage": "linear-eval", "grid": {"backbone.name": ["resnet18"]}, "keys": {"training.epochs": 3}})


def test_what_else_lies_about_is_no_start(tmp_path):
    """The newest run would be another one when a second process, or a resumed sweep, comes to look for it."""
    (run,) = planned(tmp_path, {"runs": [{"name": "a"}]})
    assert run.config.checkpoint == "none"


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"seeds": [0, 0], "runs": [{"name": "a"}]}, "seeds: a seed is given twice"),
        ({"runs": [{"name": "a", "keys": {"runtime.seed": 7}}]}, "runs.a: runtime.seed: a sweep sets it"),
        ({"runs": [{"name": "a", "keys": {"checkpoint": "nowhere"}}]}, "runs.a: nowhere: "),
        ({"runs": [{"name": "a", "keys": {"runtime.out": "b"}}]}, "runs.a: runtime.out: a sweep sets it"),
        ({"runs": [{"name": "a", "pretrain": {"keys": {"runtime.seed": 7}}}]}, "runs.a: runtime.seed: a sweep sets it"),
        (
            {"runs": [{"name": "a", "pretrain": {}, "keys": {"checkpoint": "none"}}]},
            "runs.a: checkpoint: the entry's pretrain gives it",
        ),
        (
            {"grid": {"optimizer.lr": [0.1]}, "runs": [{"name": "a", "keys": {"optimizer.lr": 1}}]},
            "runs.a: optimizer.lr: the grid sets it too",
        ),
        (
            {"runs": [{"name": "a", "keys": {"downsizer": {"checkpoint": "auto"}}}]},
            "runs.a: downsizer.checkpoint: auto would hang on what else lies about",
        ),
        ({"stage": "linear-eval", "runs": [{"name": "a", "preset": "densenet_paper"}]}, "runs.a: "),
        ({"seeds": 3, "runs": [{"name": "a"}]}, "seeds: give a list, as in [a, b]"),
        ({"seeds": [], "runs": [{"name": "a"}]}, "seeds: give at least 1"),
    ],
)
def test_what_would_mislead_or_fail_later_is_refused_before_anything_runs(tmp_path, asked, line):
    assert line in refusal(tmp_path, asked)
