"""Pretraining that reads tar shards, through the command line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SMALL = ["--image-size", 32, "--backbone", "test_resnet", "--batch-size", 8, "--epochs", 2, "--precision", "fp32",
         "--device", "cpu", "--set", "runtime.layout=contiguous", "--set", "runtime.threads=1"]  # fmt: skip


@pytest.fixture
def shards(ssl_pcb_cli, synthetic_boards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    ended = ssl_pcb_cli("data", "shards", synthetic_boards, "shards", "--image-size", 32, "--per-shard", 7)
    assert ended.code == 0, ended.err
    return Path("shards/index.json")


def epochs_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("method", ["simclr", "autoencoder"])
def test_a_stream_is_learned_from(shards, ssl_pcb_cli, synthetic_boards, method):
    run = Path("run")
    ended = ssl_pcb_cli("pretrain", "--shards", shards, "--method", method, *SMALL, "--out", run)
    assert ended.code == 0, ended.err
    first, last = epochs_of(run)
    assert last["loss"] < first["loss"]
    samples = json.loads(shards.read_text())["samples"]
    assert json.loads((run / "summary.json").read_text())["samples"] == samples
    # What comes after knows which images were seen, and takes the weights.
    ended = ssl_pcb_cli("linear-eval", "--data", synthetic_boards, "--checkpoint", run, "--image-size", 32,
                        "--backbone", "test_resnet", "--device", "cpu", "--out", "probes")  # fmt: skip
    assert ended.code == 0, ended.err


def test_an_interrupted_stream_goes_on_to_the_same_weights(shards, ssl_pcb_cli, monkeypatch):
    whole, broken = Path("whole"), Path("broken")
    assert ssl_pcb_cli("pretrain", "--shards", shards, *SMALL, "--out", whole).code == 0

    def full(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ssl_pcb.stages.pretrain.save_backbone", full)
        ssl_pcb_cli("pretrain", "--shards", shards, *SMALL, "--out", broken)
    assert not (broken / "backbone.safetensors").exists()
    ended = ssl_pcb_cli("pretrain", "--shards", shards, *SMALL, "--out", broken, "--resume")
    assert ended.code == 0, ended.err
    theirs, ours = load_file(whole / "backbone.safetensors"), load_file(broken / "backbone.safetensors")
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_shards_that_are_gone_are_one_line(shards, ssl_pcb_cli):
    shutil.rmtree("shards")
    ended = ssl_pcb_cli("pretrain", "--shards", shards, *SMALL, "--out", "run")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert not Path("run").exists()
