"""The main job from end to end on small synthetic boards, through the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.load import load_config, read_yaml
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.config.sampler import SamplerConfig
from ssl_pcb.config.stages import STAGES
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.probes import CS
from ssl_pcb.reports.run import open_run
from ssl_pcb.stages.weights import start_from
from ssl_pcb.training import fastest, loop
from ssl_pcb.training.lineage import TrainedOn

BASE = {
    "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8, "training.epochs": 2,
    "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous", "runtime.device": "cpu",
}  # fmt: skip
PRETRAIN = {"method.hidden_dim": 16, "method.output_dim": 8}
JUDGED = {"resamples": 100}
PROBE = {"cs": [0.1, 1.0], "ks": [1, 5], "training.epochs": 3} | JUDGED
SMALL = {"pretrain": BASE | PRETRAIN, "finetune": BASE | JUDGED, "linear-eval": BASE | PROBE}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv``, its own cache, and a finished ``runs/pre`` pretrained on it."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest.read(synthetic_boards).write("m.csv")
        start("pretrain", "runs/pre")
        yield folder


def start(stage, out, data="m.csv", *, resume=False, file=None, **keys):
    """Run a stage; keys are dotted, with two underscores for a dot."""
    asked = {} if file or resume else SMALL[stage] | {"data.manifest": data}
    asked |= {key.replace("__", "."): value for key, value in keys.items()}
    return run_stage(stage, file, asked | {"runtime.out": out}, resume=resume)


def flags(stage, **keys):
    keys = SMALL[stage] | {"data.manifest": "m.csv"} | {key.replace("__", "."): value for key, value in keys.items()}
    return [text for key, value in keys.items() for text in ("--set", f"{key}={json.dumps(value)}")]


def read(folder, name):
    return json.loads((Path(folder) / name).read_text())


def weights(folder, *names):
    return {name: load_file(Path(folder) / f"{name}.safetensors") for name in names or ("backbone",)}


def same_bits(first, second):
    return all(
        table.keys() == second[name].keys() and all(torch.equal(table[key], second[name][key]) for key in table)
        for name, table in first.items()
    )


def rows(file):
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


# The three stages -------------------------------------------------------------------------------------------


def test_a_pretraining_run_records_everything(workplace):
    folder = workplace / "runs" / "pre"
    record = read(folder, "run.json")
    assert record["status"] == "finished"
    assert torch.__version__.startswith(record["versions"]["torch"])
    assert {"commit", "hardware", "sessions", "started", "ended"} <= record.keys()
    assert [session["seconds"] for session in record["sessions"]] == [record["seconds"]]
    assert len(record["data"]["fingerprint"]) == 24
    assert [row["epoch"] for row in rows(folder / "metrics.jsonl")] == [1, 2]
    assert {"knn_accuracy", "feature_std", "effective_rank"} <= read(folder, "summary.json")["representation"].keys()
    assert "pretraining with simclr on" in (folder / "log.txt").read_text()
    assert not list(folder.glob("*.part"))
    resolved = yaml.safe_load((folder / "config.yaml").read_text())
    assert (resolved["data"]["channels"], resolved["data"]["bit_depth"]) == (3, 8)
    assert "auto" not in json.dumps(resolved)


def test_pretraining_saw_the_training_boards_alone(workplace):
    frame = pd.read_csv("m.csv")
    seen = TrainedOn.read(Path("runs/pre/backbone.safetensors"))
    assert seen.groups == set(frame["group"][frame["split"] == "train"])
    assert len(seen.images) == (frame["split"] == "train").sum()


def test_the_distance_is_to_all_training_images_labelled_or_not(workplace, ssl_pcb_cli):
    frame = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    few = frame["split"].eq("train") & (frame.groupby(["split", "label"]).cumcount() > 0)
    frame.assign(label=frame["label"].mask(few, "")).to_csv("few.csv", index=False)
    distances = []
    for name in ("m", "few"):
        asked = flags("linear-eval", data__manifest=f"{name}.csv", checkpoint="runs/pre", fractions=[1.0])
        ended = ssl_pcb_cli("linear-eval", *asked, "--out", f"distance-{name}")
        assert ended.code == 0, ended.err
        table = pd.read_json(f"distance-{name}/metrics.jsonl", lines=True)
        table = table.query("probe == 'one_class' and backbone == 'checkpoint' and split == 'val'")
        distances.append(table[["setting", "auroc", "average_precision"]].values.tolist())
    assert few.sum() > 10
    assert distances[0] == distances[1]


def test_linear_eval_finds_the_run_and_sets_a_floor_beside_it(workplace, ssl_pcb_cli):
    ended = ssl_pcb_cli("linear-eval", *flags("linear-eval"), "--out", "probe")
    assert ended.code == 0, ended.err
    assert "starting from checkpoint runs/pre" in ended.out.splitlines()
    table = pd.read_json("probe/metrics.jsonl", lines=True)
    assert set(table["backbone"]) == {"checkpoint", "random_init"}
    assert set(table["probe"]) == {"logistic", "gradient_head", "knn", "one_class"}
    assert set(table["labels"]) == {0.0, 0.01, 0.1, 1.0}
    assert set(table.loc[table["labels"].eq(0), "probe"]) == {"one_class"}
    assert set(table["split"]) <= {"holdout", "val"}
    assert set(table["unit"]) == {"image"}
    assert not Path("results").exists()
    assert not (workplace / "probe" / "test_ledger.csv").exists()


def test_linear_eval_reports_the_probe_that_was_asked_for(workplace, ssl_pcb_cli):
    keys = [*flags("linear-eval"), "--set", "fractions=[1.0]", "--loss", "focal"]
    for probe in ("logistic", "gradient_head"):
        assert ssl_pcb_cli("linear-eval", *keys, "--set", f"reported_probe={probe}", "--out", probe).code == 0
        table = pd.read_json(f"{probe}/metrics.jsonl", lines=True)
        (row,) = table[
            table["backbone"].eq("checkpoint") & table["probe"].eq(probe) & table["split"].eq("val")
        ].to_dict("records")
        summary = read(Path(probe), "summary.json")
        assert summary["reports"]["val"]["metrics"]["auroc"]["value"] == pytest.approx(row["auroc"])
        predictions = pd.read_csv(f"{probe}/checkpoint_predictions.csv")
        val = predictions[predictions["split"].eq("val")]
        assert roc_auc_score(val["label"].eq("Defective"), val["score"]) == pytest.approx(row["auroc"])
    heads = [load_file(f"{probe}/head.safetensors") for probe in ("logistic", "gradient_head")]
    assert [sorted(head) for head in heads] == [
        ["bias", "mean", "scale", "weight"], ["layer.bias", "layer.weight", "mean", "scale"],
    ]  # fmt: skip


def test_a_map_of_painted_defects_scores_boards_without_labels(workplace):
    network = {"backbone.strides": [8, 16], "backbone.neck": 10, "backbone.pool": "max"}
    keys = BASE | network | {"data.manifest": "m.csv", "method.name": "defect_pretext", "runtime.out": "maps"}
    run_stage("pretrain", None, keys, resume=False)
    with Image.open("maps/defect_maps.png") as picture:
        assert picture.height > 3 * 128
        assert np.asarray(picture).std() > 10
    small = {key: value for key, value in SMALL["linear-eval"].items() if not key.startswith("backbone")}
    asked = small | {"data.manifest": "m.csv", "checkpoint": "maps", "runtime.out": "maps-probes"}
    run_stage("linear-eval", None, asked, resume=False)  # with the network of the run
    table = pd.read_json("maps-probes/metrics.jsonl", lines=True)
    found = table[table["probe"].eq("defect_map")]
    assert set(found["labels"]) == {0.0}
    assert set(found["backbone"]) == {"checkpoint"}
    said = pd.read_csv("maps-probes/defect_map_predictions.csv").query("split == 'val'")
    auroc = roc_auc_score(said["label"].eq("Defective"), said["score"])
    assert found.loc[found["split"].eq("val"), "auroc"].item() == pytest.approx(auroc)
    assert read("maps-probes", "summary.json")["label_free_reports"]["defect_map"]["val"]["n"] == len(said)


def test_finetune_shows_both_classes_alike(workplace, ssl_pcb_cli):
    ended = ssl_pcb_cli("finetune", "--sampler", "epoch_undersample", *flags("finetune"), "--out", "tuned")
    assert ended.code == 0, ended.err
    record, summary = read("tuned", "run.json"), read("tuned", "summary.json")
    frame = pd.read_csv("m.csv")
    minority = frame["label"][frame["split"] == "train"].value_counts().min()
    assert record["class_counts"] == {"NonDefective": minority, "Defective": minority}
    assert record["checkpoint"] == "runs/pre"
    assert {"val", "holdout"} >= summary["reports"].keys()
    assert summary["marks"] == []
    best = max(rows("tuned/metrics.jsonl"), key=lambda row: row["val_average_precision"])
    assert summary["best_epoch"] == best["epoch"]
    # The saved weights are those of the best epoch: they give the scores that were reported.
    report = summary["reports"]["val"]["metrics"]["average_precision"]["value"]
    assert report == pytest.approx(best["val_average_precision"])
    assert {"backbone.safetensors", "head.safetensors", "predictions.csv"} <= set(os.listdir("tuned"))
    assert not Path("results").exists()


def test_finetune_with_few_labels_takes_as_many_steps_and_sees_only_these(workplace):
    start("finetune", "few", checkpoint="none", fraction=0.25, steps_per_epoch=3, training__epochs=2)
    frame = pd.read_csv("m.csv")
    train = frame[frame["split"].eq("train") & frame["label"].notna()]
    few = {label: round(0.25 * count) for label, count in train["label"].value_counts().items()}
    assert len(TrainedOn.read(Path("few/backbone.safetensors")).images) == sum(few.values())
    assert read("few", "run.json")["class_counts"] == few
    batch_size = yaml.safe_load(Path("few/config.yaml").read_text())["training"]["batch_size"]
    shown = [row["samples_per_second"] * row["seconds"] for row in rows("few/metrics.jsonl")]
    assert shown == pytest.approx([3 * batch_size] * 2)
    judged = read("few", "summary.json")["reports"]["val"]["n"]
    assert judged == (frame["split"].eq("val") & frame["label"].notna()).sum()


def test_every_look_at_the_test_boards_is_in_both_ledgers(workplace):
    start("finetune", "look1", test=True, checkpoint="none", runtime__ledger="looks/ledger.csv")
    start("linear-eval", "look2", test=True, checkpoint="none", runtime__ledger="looks/ledger.csv", fractions=[1.0])
    project = pd.read_csv("looks/ledger.csv")
    assert project["command"].tolist() == ["finetune", "linear-eval"]
    frame = pd.read_csv("m.csv")
    for row, folder in zip(project.itertuples(), ("look1", "look2"), strict=True):
        own = pd.read_csv(f"{folder}/test_ledger.csv")
        assert len(own) == 1
        assert own["boards"][0] == row.boards == " ".join(sorted(set(frame["group"][frame["split"] == "test"])))
        assert own["data_fingerprint"][0] == read(folder, "run.json")["data"]["fingerprint"]
        reported = read(folder, "summary.json")["reports"]["test"]["metrics"]["auroc"]["value"]
        assert own["auroc"][0] == pytest.approx(reported, abs=1e-4)


def test_pseudo_groups_are_marked(workplace):
    frame = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    Manifest.build(frame.assign(group="~" + frame["group"]), Path.cwd()).write("pseudo.csv")
    start("finetune", "pseudo", "pseudo.csv", checkpoint="none", training__epochs=1)
    assert read("pseudo", "summary.json")["marks"] == ["not board-disjoint"]


# Which weights a stage starts from --------------------------------------------------------------------------


@pytest.fixture
def choose(workplace, tmp_path):
    """Asks which checkpoint ``auto`` means among copies of ``runs/pre`` in a folder beside the new run."""
    samples, _ = load_samples(
        load_config(LinearEvalConfig, None, SMALL["linear-eval"] | {"data.manifest": "m.csv"}).data
    )
    backbone = load_config(LinearEvalConfig, None, SMALL["linear-eval"]).backbone

    def copy(name, **changes):
        shutil.copytree("runs/pre", tmp_path / name)
        record = read(tmp_path / name, "run.json")
        for key, value in changes.items():
            section, _, leaf = key.partition("__")
            record[section] = record[section] | {leaf: value} if leaf else value
        (tmp_path / name / "run.json").write_text(json.dumps(record))

    def chosen(**changes):
        network = backbone.model_copy(update=changes)
        beside = tmp_path / "new"
        return Path(
            start_from(
                "auto", network, 3, RuntimeConfig(), context=0, samples=samples, transductive=False, beside=beside
            ).checkpoint
        )

    return copy, chosen


def test_the_newest_run_is_taken(choose, tmp_path):
    copy, chosen = choose
    copy("old", ended="2001-01-01T00:00:00+00:00")
    copy("new-one", ended="2999-01-01T00:00:00+00:00")
    copy("old2", ended="2002-01-01T00:00:00+00:00")
    assert chosen() == tmp_path / "new-one"


@pytest.mark.parametrize(
    "changes",
    [{"backbone__channels": 1}, {"backbone__name": "resnet18"}, {"backbone__norm": "group"},
     {"data__images_fingerprint": "other", "data__images_alone_fingerprint": "other"},
     {"status": "interrupted"}, {"stage": "finetune"}],
    ids=str,
)  # fmt: skip
def test_a_newer_incompatible_run_is_not(choose, changes):
    copy, chosen = choose
    copy("newer", ended="2999-01-01T00:00:00+00:00", **changes)
    assert chosen() == Path("runs/pre")


def test_without_a_compatible_run_initialisation_is_random(choose):
    _, chosen = choose
    assert chosen(name="test_vit") == Path("none")


def test_frozen_norm_without_start_weights_is_refused(workplace):
    with pytest.raises(UserError, match=r"backbone\.norm: .* --checkpoint, or set backbone\.norm=group"):
        start("pretrain", "frozen", backbone__norm="frozen")
    assert not Path("frozen").exists()


@pytest.fixture
def moved_boards(workplace):
    """The same images, but a board that ``runs/pre`` trained on is a validation board now, and the other way."""
    frame = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    train = frame["group"][frame["split"] == "train"].iloc[0]
    val = frame["group"][frame["split"] == "val"].iloc[0]
    frame.loc[frame["group"] == train, "split"] = "val"
    frame.loc[frame["group"] == val, "split"] = "train"
    Manifest.build(frame, Path.cwd()).write("moved.csv")
    return train


@pytest.mark.parametrize("stage", ["linear-eval", "finetune"])
def test_a_checkpoint_that_saw_the_boards_is_refused(workplace, moved_boards, stage):
    with pytest.raises(UserError, match=f"trained on boards {moved_boards}, .*--transductive"):
        start(stage, "leak", "moved.csv", checkpoint="runs/pre")
    assert not Path("leak").exists()


def test_renamed_boards_are_known_by_their_images(workplace, moved_boards):
    frame = pd.read_csv("moved.csv", dtype=str, keep_default_na=False)
    Manifest.build(frame.assign(group="x" + frame["group"]), Path.cwd()).write("renamed.csv")
    with pytest.raises(UserError, match="images that are validation or test images here"):
        start("finetune", "leak", "renamed.csv", checkpoint="runs/pre")


def test_a_finetuned_checkpoint_remembers_its_pretraining(workplace, moved_boards):
    """Finetuned on nothing but new boards, it still comes from a network that saw the old ones."""
    start("finetune", "heir", checkpoint="runs/pre", training__epochs=1)
    frame = pd.read_csv("m.csv")
    assert TrainedOn.read(Path("heir/backbone.safetensors")).groups == set(frame["group"][frame["split"] == "train"])
    with pytest.raises(UserError, match="trained on boards"):
        start("finetune", "leak", "moved.csv", checkpoint="heir/backbone.safetensors")


def test_transductive_marks_every_output(workplace, moved_boards, ssl_pcb_cli):
    keys = flags("finetune", data__manifest="moved.csv", training__epochs=1, test=True, runtime__ledger="t/ledger.csv")
    ended = ssl_pcb_cli("finetune", *keys, "--checkpoint", "runs/pre", "--transductive", "--out", "trans")
    assert ended.code == 0, ended.err
    assert "mark: transductive" in ended.out
    assert pd.read_csv("trans/predictions.csv")["marks"].str.contains("trained on boards").all()
    (mark,) = read("trans", "summary.json")["marks"]
    assert mark.startswith(f"transductive: the checkpoint was trained on boards {moved_boards}")
    assert "trained on boards" in pd.read_csv("t/ledger.csv")["transductive"][0]


@pytest.mark.parametrize("key", [{"backbone__name": "test_vit"}, {"data__channels": 1}], ids=str)
def test_a_checkpoint_of_another_network_is_refused(workplace, key):
    with pytest.raises(UserError, match="holds a test_resnet with 3 channel") as refused:
        start("finetune", "other", checkpoint="runs/pre", **key)
    assert "\n" not in str(refused.value)
    assert not Path("other").exists()


# Once more, and going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_the_resolved_config_reproduces_the_run(workplace, stage):
    names = ("backbone", "head") if stage == "finetune" else ("backbone",)
    first = start(stage, f"{stage}-a", backbone__drop_rate=0.2)
    second = start(stage, f"{stage}-b", file=first / "config.yaml")
    third = start(stage, f"{stage}-c", file=first / "config.yaml", runtime__seed=1)
    assert same_bits(weights(first, *names), weights(second, *names))
    assert not same_bits(weights(first, *names), weights(third, *names))
    kept = [
        {key: value for key, value in read_yaml(f / "config.yaml").items() if key != "runtime"} for f in (first, second)
    ]
    assert kept[0] == kept[1]


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("when", ["before the state is saved", "after the state is saved"])
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_run_cut_off_ends_as_one_that_was_not(workplace, monkeypatch, stage, when):
    names = ("backbone", "head") if stage == "finetune" else ("backbone",)
    tag = f"{stage}-{when.split()[0]}"
    long = {"training__epochs": 4, "backbone__drop_rate": 0.3}
    straight = start(stage, f"{tag}-straight", **long)

    def cut_off(folder, **parts):
        if when.startswith("after") or parts["epoch"] < 2:
            saved(folder, **parts)
        if parts["epoch"] == 2:
            raise Killed

    saved = loop.save_state
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", cut_off)
        with pytest.raises(Killed):
            start(stage, f"{tag}-cut", **long)
    assert not (workplace / f"{tag}-cut" / "backbone.safetensors").exists()
    cut = start(stage, f"{tag}-cut", resume=True)
    assert same_bits(weights(straight, *names), weights(cut, *names))
    assert [row["epoch"] for row in rows(cut / "metrics.jsonl")] == [1, 2, 3, 4]
    losses = [[row["loss"] for row in rows(folder / "metrics.jsonl")] for folder in (straight, cut)]
    assert losses[0] == losses[1]
    assert read(cut, "run.json")["status"] == "finished"


def test_a_resumed_run_keeps_the_precision_and_layout_that_were_chosen(workplace, monkeypatch):
    def measured(fast):
        return lambda tries, work: ({name: 1.0 if name == fast else 2.0 for name in tries}, fastest.TRUSTED)

    def stop(folder, **parts):
        saved(folder, **parts)
        raise KeyboardInterrupt

    saved, chosen = loop.save_state, {"runtime__precision": "auto", "runtime__layout": "auto"}
    monkeypatch.setenv("SSL_PCB_CACHE", str(workplace / "empty-cache"))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", stop)
        patch.setattr(fastest, "_measure", measured("bf16 channels_last"))
        with pytest.raises(KeyboardInterrupt):
            start("pretrain", "chosen", **chosen)
    monkeypatch.setattr(fastest, "_measure", measured("fp32 contiguous"))  # what this machine would choose by now
    (workplace / "empty-cache" / "fastest.json").unlink()
    start("pretrain", "chosen", resume=True)
    runtime = read_yaml(workplace / "chosen" / "config.yaml")["runtime"]
    assert (runtime["precision"], runtime["layout"]) == ("bf16", "channels_last")
    straight = start("pretrain", "straight", runtime__precision="bf16", runtime__layout="channels_last")
    assert same_bits(weights(straight, "backbone"), weights(workplace / "chosen", "backbone"))


@pytest.mark.parametrize("name", [variant().name for variant in get_args(get_args(SamplerConfig)[0])])
def test_every_sampler_trains_a_classifier_and_but_for_the_mirror_a_probe(workplace, name):
    run = start("finetune", f"sampler-{name}", sampler__name=name, training__epochs=1)
    assert np.isfinite(rows(run / "metrics.jsonl")[-1]["loss"])
    if name == "oversample_hflip":
        with pytest.raises(UserError, match="mirrors pixels, and these heads see features; set oversample"):
            start("linear-eval", f"probe-{name}", sampler__name=name)
    else:
        start("linear-eval", f"probe-{name}", sampler__name=name, fractions=[1.0], checkpoint="none")


@pytest.mark.parametrize("stage", ["finetune", "linear-eval"])
def test_a_batch_without_halves_is_refused(workplace, stage):
    with pytest.raises(UserError, match=r"^training.batch_size: 7 has no halves for balanced_batch; set an even"):
        start(stage, "odd", sampler__name="balanced_batch", training__batch_size=7)


@pytest.mark.parametrize("first_epoch", ["finished", "cut"])
def test_a_probes_head_is_fitted_once_and_again_when_resumed_from_nothing(workplace, monkeypatch, first_epoch):
    def stop(folder, **parts):
        if first_epoch == "finished":
            saved(folder, **parts)
        raise KeyboardInterrupt

    saved = loop.save_state
    straight = start("finetune", f"probe-straight-{first_epoch}", head_start="probe")
    assert "the head begins as a logistic probe" in (straight / "log.txt").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", stop)
        with pytest.raises(KeyboardInterrupt):
            start("finetune", f"probe-{first_epoch}", head_start="probe")
    cut = start("finetune", f"probe-{first_epoch}", resume=True)
    assert same_bits(weights(straight, "backbone", "head"), weights(cut, "backbone", "head"))
    assert (cut / "log.txt").read_text().count("the head begins as") == 1 + (first_epoch == "cut")


def test_without_an_epoch_the_probe_is_the_classifier(workplace, ssl_pcb_cli):
    tuned = start("finetune", "probe-alone", checkpoint="runs/pre", head_start="probe", training__epochs=0)
    probed = start("linear-eval", "probe-judged", checkpoint="runs/pre", cs=[*CS], fractions=[1.0])
    said, same = (
        pd.read_csv(folder / name).query("split == 'val'").set_index("row")["score"]
        for folder, name in ((tuned, "predictions.csv"), (probed, "checkpoint_predictions.csv"))
    )
    assert said.to_numpy() == pytest.approx(same.loc[said.index].to_numpy(), abs=1e-3)
    assert "the probe that the head began with is the classifier" in (tuned / "log.txt").read_text()
    assert same_bits(weights(tuned), weights("runs/pre"))
    assert ssl_pcb_cli("report", tuned, "-o", "probe-alone.html").code == 0
    page = Path("probe-alone.html").read_text()
    assert "probed, the network frozen" in page
    assert "finetuned" not in page
    assert "logistic probe, nothing trained" in page
    assert ssl_pcb_cli("predict", tuned, "m.csv", "-o", "probe-alone.csv").code == 1  # some are not OK
    with pytest.raises(UserError, match=r"^training.epochs: 0 trains nothing"):
        start("finetune", "nothing", training__epochs=0)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_compiled_network_trains_alike_and_leaves_the_same_files(workplace, stage):
    plain, compiled = (start(stage, f"{stage}-compile-{on}", compile=on) for on in (False, True))
    losses = [[row["loss"] for row in rows(folder / "metrics.jsonl")] for folder in (plain, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    one, other = weights(plain, "backbone"), weights(compiled, "backbone")
    assert [*one] == [*other]


def test_without_a_compiler_compiling_is_refused_before_anything_is_trained(workplace, monkeypatch):
    monkeypatch.setenv("PATH", str(workplace))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"^compile: .* finds none; install g\+\+, or set compile=false$"):
        start("pretrain", "no-compiler", compile=True)
    assert not (workplace / "no-compiler").exists()


@pytest.fixture
def interrupted(workplace, monkeypatch):
    """A pretraining run that stopped after its first epoch."""
    folder = workplace / "stopped"
    shutil.rmtree(folder, ignore_errors=True)
    saved = loop.save_state

    def stop(folder, **parts):
        saved(folder, **parts)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", stop)
        with pytest.raises(KeyboardInterrupt):
            start("pretrain", folder, optimizer__lr=1e-3)
    assert read(folder, "run.json")["status"] == "interrupted"
    return folder


@pytest.mark.parametrize(
    "flag",
    [("--epochs", "3"), ("--lr", "0.002"), ("--data", "other.csv"), ("--backbone", "test_vit"), ("--seed", "1"),
     ("--set", "optimizer.name=lars"), ("--set", "training={epochs: 7}")],
    ids=" ".join,
)  # fmt: skip
def test_resume_refuses_changed_keys(interrupted, ssl_pcb_cli, flag):
    before = (interrupted / "state.pt").read_bytes()
    ended = ssl_pcb_cli("pretrain", "--resume", "--out", interrupted, *flag)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "the run to resume has" in ended.err
    assert (interrupted / "state.pt").read_bytes() == before
    assert read(interrupted, "run.json")["status"] == "interrupted"


@pytest.mark.parametrize(
    "same",
    [
        ("--epochs", "2", "--lr", "1e-3", "--data", "./m.csv"),
        ("--precision", "auto", "--set", "data.channels=auto"),
        ("--threads", "0"),
        ("--profile",),
    ],
    ids=" ".join,
)
def test_resume_accepts_the_same_keys_in_other_words(interrupted, ssl_pcb_cli, same):
    ended = ssl_pcb_cli("pretrain", "--resume", "--out", interrupted, *same)
    assert ended.code == 0, ended.err
    assert "resumed after epoch 1 of 2" in ended.out
    assert (interrupted / "profile.md").exists() is ("--profile" in same)


def test_resume_accepts_the_config_file_that_began_the_run(interrupted, ssl_pcb_cli, tmp_path):
    written = load_config(STAGES["pretrain"], None, SMALL["pretrain"] | {"data.manifest": "m.csv"})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(written.model_dump(mode="json")))
    assert '"auto"' in json.dumps(yaml.safe_load((tmp_path / "c.yaml").read_text()))
    ended = ssl_pcb_cli("pretrain", "--config", tmp_path / "c.yaml", "--resume", "--out", interrupted)
    assert ended.code == 0, ended.err


def test_resume_refuses_other_images(interrupted, ssl_pcb_cli):
    kept = Path("m.csv").read_text()
    frame = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    Manifest.build(frame.iloc[1:], Path.cwd()).write("m.csv")
    try:
        ended = ssl_pcb_cli("pretrain", "--resume", "--out", interrupted)
    finally:
        Path("m.csv").write_text(kept)
    assert ended.code == 2
    assert "m.csv: has changed since" in ended.err


def test_a_finished_run_is_not_resumed(workplace, ssl_pcb_cli):
    ended = ssl_pcb_cli("pretrain", "--resume", "--out", "runs/pre")
    assert ended.code == 2
    assert "is finished" in ended.err


def test_resume_without_out_takes_the_newest_unfinished_run(interrupted, ssl_pcb_cli, tmp_path, monkeypatch):
    shutil.copytree(interrupted, tmp_path / "runs" / "pretrain-x")
    shutil.copytree("runs/pre", tmp_path / "runs" / "pretrain-y")
    shutil.copytree(Path("m.csv").resolve().parent, tmp_path / "w", ignore=shutil.ignore_patterns("[!m]*"))
    config = tmp_path / "runs" / "pretrain-x" / "config.yaml"
    config.write_text(config.read_text().replace("m.csv", str(Path("m.csv").resolve())))
    monkeypatch.chdir(tmp_path)
    ended = ssl_pcb_cli("pretrain", "--resume")
    assert ended.code == 0, ended.err
    assert "run folder: runs/pretrain-x" in ended.out


def command(stage, out, *more, **keys):
    """A training of its own process that lasts long enough to be stopped."""
    line = [sys.executable, "-c", "from ssl_pcb.cli import main; main()", stage, "--out", out, *more]
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*line, *keys.get("flags", [])], env=environment, stderr=subprocess.PIPE, text=True)


def stop_after(process, folder, epochs, sent):
    """Send a signal in the middle of an epoch, after ``epochs`` were finished."""
    log, deadline = Path(folder) / "metrics.jsonl", time.monotonic() + 300
    while not (log.exists() and len(log.read_text().splitlines()) >= epochs):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.05)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_killed_process_resumes_to_the_same_bits(workplace, stage):
    names = ("backbone", "head") if stage == "finetune" else ("backbone",)
    long = flags(stage, training__epochs=24, backbone__drop_rate=0.2)
    straight = command(stage, f"{stage}-alive", flags=long)
    assert straight.wait(600) == 0, straight.stderr.read()
    killed = command(stage, f"{stage}-killed", flags=long)
    code, _ = stop_after(killed, f"{stage}-killed", 3, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert len(rows(f"{stage}-killed/metrics.jsonl")) < 24
    resumed = command(stage, f"{stage}-killed", "--resume")
    assert resumed.wait(600) == 0, resumed.stderr.read()
    assert same_bits(weights(f"{stage}-alive", *names), weights(f"{stage}-killed", *names))


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_a_scheduler_leaves_a_run_that_resume_takes_up(workplace, sign):
    folder = sign.name
    process = command("pretrain", folder, flags=flags("pretrain", training__epochs=24))
    code, err = stop_after(process, folder, 2, sign)
    assert code == 130
    assert len(err.strip().splitlines()) == 1, err  # after the line break that follows ^C
    assert "--resume" in err
    assert read(folder, "run.json")["status"] == "interrupted"
    assert command("pretrain", folder, "--resume").wait(600) == 0
    assert [row["epoch"] for row in rows(f"{folder}/metrics.jsonl")] == list(range(1, 25))


# What must never be learned from or hidden ------------------------------------------------------------------


def test_unsplit_images_of_judged_boards_are_not_learned_from(workplace):
    """One unlabelled image of a validation board, one copy of a test image, and one that is free to take."""
    frame = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    images = {split: frame[frame["split"] == split].iloc[0] for split in ("val", "test", "train")}
    added = []
    for name, row, group in (("v", "val", images["val"]["group"]), ("c", "test", "new"), ("f", "train", "new2")):
        if name == "c":
            shutil.copy(images[row]["path"], "unsplit-c.png")
        else:
            pixels = np.asarray(Image.open(images[row]["path"])).copy()
            pixels[0, 0] = 255 - pixels[0, 0]
            Image.fromarray(pixels).save(f"unsplit-{name}.png")
        added.append({"path": f"unsplit-{name}.png", "group": group})
    Manifest.build(pd.concat([frame, pd.DataFrame(added)]), Path.cwd()).write("more.csv")
    start("pretrain", "more", "more.csv", use_unsplit=True, training__epochs=1)
    seen = TrainedOn.read(Path("more/backbone.safetensors"))
    assert "new2" in seen.groups
    assert not seen.groups & {"new", images["val"]["group"]}


def test_copies_across_the_split_are_refused(workplace):
    frame = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    source = frame.index[frame["split"] == "train"][0]
    target = frame.index[frame["split"] == "test"][0]
    shutil.copy(frame.loc[source, "path"], "copy.png")
    frame.loc[target, "path"] = "copy.png"
    Manifest.build(frame, Path.cwd()).write("copies.csv")
    with pytest.raises(UserError, match=r"1 validation or test samples are copies of training images, first copy\.png"):
        start("finetune", "copies", "copies.csv", checkpoint="none")
    assert not Path("copies").exists()


def test_weights_without_a_record_are_marked(workplace):
    named = {"backbone": "test_resnet", "channels": "3"}
    save_file(load_file("runs/pre/backbone.safetensors"), "anonymous.safetensors", named)
    start("finetune", "anonymous", "m.csv", checkpoint="anonymous.safetensors", training__epochs=1)
    assert read("anonymous", "summary.json")["marks"] == ["the checkpoint has no record of its training images"]


def test_a_ledger_that_cannot_be_written_stops_before_the_training(workplace):
    Path("other.csv").write_text("name,price\n")
    with pytest.raises(UserError, match="is not a test ledger"):
        start("finetune", "unledgered", "m.csv", checkpoint="none", test=True, runtime__ledger="other.csv")
    assert not Path("unledgered").exists()


def test_a_folder_in_use_is_refused(workplace):
    first, second = open_run("finetune", Path("busy"), resume=False), open_run("finetune", Path("busy"), resume=False)
    with first, pytest.raises(UserError, match="in use by another process"), second:
        pass
