"""Every stage with two processes on the CPU, through the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from ssl_pcb.augment.views import plain_view
from ssl_pcb.config.load import load_config
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import load_samples
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.training.checkpoint import load_backbone

STILL = {
    "view.geometry.symmetries": "false", "view.geometry.rotation": 0, "view.geometry.translation": 0,
    "view.geometry.shrink": 0, "view.photometry.brightness": 0, "view.photometry.contrast": 0,
    "view.photometry.gamma": 0, "view.photometry.blur": 0, "view.photometry.noise": 0,
}  # fmt: skip
"""Views without chance, so that one process and two see the same."""

SMALL = {
    "data.manifest": "m.csv", "data.image_size": 32, "backbone.name": "test_resnet", "backbone.norm": "group",
    "training.batch_size": 8, "training.epochs": 2, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu", "runtime.threads": 1,
}  # fmt: skip
# LARS: Adam divides by the gradient's size and so blows rounding up where a gradient is nearly zero.
PRETRAIN = SMALL | STILL | {"method.head_batch_norm": "false", "optimizer.name": "lars"}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, synthetic_boards):
    folder = tmp_path_factory.mktemp("two")
    Manifest.read(synthetic_boards).write(folder / "m.csv")
    return folder


def command(stage, keys):
    return [stage, *(text for key, value in keys.items() for text in ("--set", f"{key}={value}"))]


def start(workplace, *arguments, launcher=(), extra=None, **more):
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]), "SSL_PCB_CACHE": str(workplace / "cache"), **(extra or {}),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "ssl_pcb", *arguments],
        cwd=workplace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def finish(process, seconds=300):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def run(workplace, stage, keys, out, *flags, launcher=(), **arguments):
    process = start(workplace, *command(stage, keys), "--out", out, *flags, launcher=launcher, **arguments)
    code, said, errors = finish(process)
    assert code == 0, said + errors
    return said + errors


def metrics(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "samples_per_second")} for row in rows]


def test_two_processes_pretrain_as_one_does(workplace):
    run(workplace, "pretrain", PRETRAIN, "runs/one")
    said = run(workplace, "pretrain", PRETRAIN, "runs/two", "--devices", "2")
    assert said.count("run folder") == 1, said  # only the first process speaks
    assert "batch norm" not in said
    assert "config.yaml" in os.listdir(workplace / "runs/two")
    assert json.loads((workplace / "runs/two/run.json").read_text())["status"] == "finished"
    assert len(os.listdir(workplace / "runs")) == 2
    one, two = metrics(workplace / "runs/one"), metrics(workplace / "runs/two")
    assert [row["epoch"] for row in two] == [1, 2]
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=1e-3)
    tensors = [load_file(workplace / "runs" / name / "backbone.safetensors") for name in ("one", "two")]
    for name, tensor in tensors[0].items():
        np.testing.assert_allclose(tensor, tensors[1][name], atol=2e-3, err_msg=name)


@pytest.mark.slow
def test_torchrun_starts_them_too(workplace):
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29711")
    said = run(workplace, "pretrain", PRETRAIN, "runs/torchrun", launcher=launcher)
    assert said.count("run folder") == 1
    assert "devices: 2" in (workplace / "runs/torchrun/config.yaml").read_text()


@pytest.mark.slow
def test_batch_norm_says_that_its_statistics_are_each_process_own(workplace):
    keys = PRETRAIN | {"backbone.norm": "own", "training.epochs": 1}
    assert "own share of the batch" in run(workplace, "pretrain", keys, "runs/bn", "--devices", "2")


@pytest.mark.slow
def test_two_processes_finetune_and_probe_as_one_does(workplace):
    tune = SMALL | {"augment.name": "none", "checkpoint": "none", "resamples": 100}
    probe = SMALL | {"checkpoint": "none", "resamples": 100, "fractions": "[1.0]", "ks": "[1]", "training.epochs": 1}
    probe |= {"reported_probe": "gradient_head", "loss.name": "class_ratio"}  # which sums over processes, if it may
    for stage, keys, saved in (
        ("finetune", tune, "predictions.csv"), ("linear-eval", probe, "random_init_predictions.csv"),
    ):  # fmt: skip
        extra = {"SSL_PCB_CACHE": str(workplace / f"cache-{stage}")}  # or the second run would find the features
        run(workplace, stage, keys, f"runs/{stage}-one", extra=extra)
        extra = {"SSL_PCB_CACHE": str(workplace / f"cache2-{stage}")}
        run(workplace, stage, keys, f"runs/{stage}-two", "--devices", "2", extra=extra)
        one, two = (pd.read_csv(workplace / f"runs/{stage}-{n}" / saved) for n in ("one", "two"))
        assert (one["row"] == two["row"]).all()
        np.testing.assert_allclose(one["score"], two["score"], atol=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["norm", "adaptive"])
def test_two_processes_clip_and_average_as_one_does(workplace, clip):
    keys = SMALL | {
        "augment.name": "none", "checkpoint": "none", "resamples": 100, "training.epochs": 3, "patience": 2,
        "optimizer.name": "sgd", "training.clip.name": clip, "ema": 0.9, "freeze": "stem", "layer_decay": 0.8,
    }  # fmt: skip
    run(workplace, "finetune", keys, f"runs/{clip}-one")
    run(workplace, "finetune", keys, f"runs/{clip}-two", "--devices", "2")
    one, two = (metrics(workplace / f"runs/{clip}-{n}") for n in ("one", "two"))
    assert [row["epoch"] for row in one] == [row["epoch"] for row in two]
    norms = [[row.get("gradient_norm", 0.0) for row in rows] for rows in (one, two)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    tensors = [load_file(workplace / f"runs/{clip}-{n}" / "backbone.safetensors") for n in ("one", "two")]
    for name, tensor in tensors[0].items():
        np.testing.assert_allclose(tensor, tensors[1][name], atol=2e-3, err_msg=name)


@pytest.mark.slow
def test_scores_are_those_of_the_saved_network_also_with_batch_norm(workplace, monkeypatch):
    keys = SMALL | {"backbone.norm": "own", "checkpoint": "none", "resamples": 100, "training.epochs": 3}
    run(workplace, "finetune", keys, "runs/saved", "--devices", "2")
    monkeypatch.setenv("SSL_PCB_CACHE", str(workplace / "cache"))
    monkeypatch.chdir(workplace)
    config = load_config(FinetuneConfig, Path("runs/saved/config.yaml"))
    samples, _ = load_samples(config.data)
    backbone = Backbone(config.backbone, samples.store.spec.channels).eval()
    load_backbone(backbone, Path("runs/saved"))
    head = load_file("runs/saved/head.safetensors")
    table = pd.read_csv("runs/saved/predictions.csv")
    pixels = samples.pixels(table["row"].to_numpy()).__getitems__(list(range(len(table)))).inputs
    with torch.no_grad():
        logits = backbone(plain_view(pixels, 32)).numpy() @ head["layer.weight"].T + head["layer.bias"]
    np.testing.assert_allclose(table["score"], logits[:, 1] - logits[:, 0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext"])
def test_two_processes_train_an_autoencoder(workplace, backbone):
    keys = SMALL | {"backbone.name": backbone, "backbone.norm": "own", "method.name": "autoencoder", "method.dim": 4}
    said = run(workplace, "pretrain", keys, f"runs/auto-{backbone}", "--devices", "2")
    assert said.count("run folder") == 1
    assert (workplace / f"runs/auto-{backbone}/reconstructions.png").is_file()


@pytest.mark.slow
def test_resuming_with_more_processes_looks_at_the_batch_of_the_run(workplace):
    keys = PRETRAIN | {"training.batch_size": 7}
    run(workplace, "pretrain", keys, "runs/odd")
    record = json.loads((workplace / "runs/odd/run.json").read_text())
    (workplace / "runs/odd/run.json").write_text(json.dumps(record | {"status": "failed"}))
    code, _, errors = finish(start(workplace, "pretrain", "--resume", "--out", "runs/odd", "--devices", "2"))
    assert code == 2, errors
    assert "training.batch_size: 7 samples a step do not divide among 2 processes" in errors
    assert "another process" not in errors


def one_of_two(workplace, out, *flags):
    """A long training of two processes that has begun; returns it and its second process."""
    process = start(
        workplace, *command("pretrain", PRETRAIN | {"training.epochs": 100_000}),
        "--devices", "2", "--out", out, *flags,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (workplace / out / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    children = [int(text) for text in found.stdout.split()]
    return process, next(pid for pid in children if b"ssl_pcb" in Path(f"/proc/{pid}/cmdline").read_bytes())


def gone(pid):
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1][:3]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@pytest.mark.slow
def test_a_killed_process_ends_the_others_with_one_line(workplace):
    process, other = one_of_two(workplace, "runs/killed")
    os.kill(other, signal.SIGKILL)
    code, _, errors = finish(process, 60)
    assert code == 2, errors
    assert errors.count("error:") == 1
    assert "another process of this run died" in errors
    assert "--resume goes on" in errors
    assert "Traceback" not in errors
    record = json.loads((workplace / "runs/killed/run.json").read_text())
    assert record["status"] == "failed"  # and so --resume takes it up


@pytest.mark.slow
def test_a_hanging_process_counts_as_dead_after_the_timeout(workplace):
    process, other = one_of_two(workplace, "runs/hangs", "--set", "runtime.timeout=15")
    os.kill(other, signal.SIGSTOP)
    code, _, errors = finish(process, 120)  # gloo by itself would wait for half an hour
    assert code == 2, errors
    assert "another process of this run died or hangs" in errors
    assert gone(other)


@pytest.mark.slow
def test_the_first_process_takes_the_others_along_when_it_is_killed(workplace):
    process, other = one_of_two(workplace, "runs/first")
    os.kill(process.pid, signal.SIGKILL)
    assert gone(other)
    assert "another process of this run died" in process.communicate()[1]


def test_what_all_processes_find_wrong_is_said_once(workplace):
    keys = PRETRAIN | {"training.batch_size": 5000}
    code, _, errors = finish(start(workplace, *command("pretrain", keys), "--devices", "2", "--out", "runs/no"))
    assert code == 2, errors
    assert errors.count("error:") == 1
    assert "fewer than a batch of 5000" in errors
    assert not (workplace / "runs/no").exists()


def test_more_processes_than_the_batch_holds_are_refused_at_once(workplace):
    code, _, errors = finish(start(workplace, *command("pretrain", PRETRAIN), "--devices", "64", "--out", "runs/no"))
    assert code == 2, errors
    assert "training.batch_size: 8 samples a step do not divide among 64 processes" in errors
