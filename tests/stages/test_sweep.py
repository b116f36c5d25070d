"""Sweeps from end to end: what fails, what is resumed, and two processes at once."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ssl_pcb.reports.run import read_run

KEYS = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu", "checkpoint": "none", "resamples": 100,
}  # fmt: skip
PRETRAIN = {"keys": {"training.epochs": 1, "training.batch_size": 8, "method.hidden_dim": 16, "method.output_dim": 8}}
RUNS = [
    {"name": "plain", "asks": "And plainly?"},
    {"name": "wild", "keys": {"optimizer.lr": 1e30, "training.warmup": 0}},
    {"name": "greedy", "keys": {"training.batch_size": 4000}},
    {"name": "pretrained", "pretrain": PRETRAIN},
    {"name": "hopeless", "pretrain": {"keys": PRETRAIN["keys"] | {"training.batch_size": 4000}}},
    {"name": "wild start", "pretrain": {"keys": PRETRAIN["keys"] | {"optimizer.lr": 1e30, "training.warmup": 0}}},
    {"name": "probe", "stage": "linear-eval", "pretrain": PRETRAIN, "keys": {"cs": [0.1], "ks": [1]}},
    {"name": "folds", "stage": "crossval", "keys": {"folds": 2}},
]


def begin(name, **sweep):
    """Start ``ssl-pcb sweep`` in a process of its own."""
    Path(f"{name}.yaml").write_text(yaml.safe_dump({"keys": KEYS} | sweep))
    command = [sys.executable, "-m", "ssl_pcb", "sweep", f"{name}.yaml", "--out", name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sessions(name):
    return {file.parent.name: len(read_run(file.parent)["sessions"]) for file in Path(name).glob("*/run.json")}


@pytest.mark.slow
def test_what_fails_stops_nothing_and_what_is_finished_is_never_run_again(workplace):
    first = begin("s", runs=RUNS)
    said, complained = first.communicate()
    assert first.returncode == 1, complained
    assert re.search(r"expected: about \d+ (s|min) for 11 runs, one after another", said + complained)
    table = pd.read_csv("s/leaderboard.csv").set_index("entry")
    ended = {name: table.loc[name, ["finished", "diverged", "failed"]].tolist() for name in table.index}
    assert ended == {
        "plain": [1, 0, 0], "pretrained": [1, 0, 0], "probe": [1, 0, 0], "folds": [1, 0, 0],
        "wild": [0, 1, 0], "wild start": [0, 1, 0], "greedy": [0, 0, 1], "hopeless": [0, 0, 1],
    }  # fmt: skip
    assert set(table.index[:4]) == {"plain", "pretrained", "probe", "folds"}
    assert "fewer than a batch of 4000" in said
    assert table.loc["plain", "asks"] == "And plainly?"
    assert table.loc["plain", ["parameters", "seconds_per_epoch", "peak_memory_mib"]].gt(0).all()
    summaries = {name: json.loads((next(Path("s").glob(f"{name}-0-*")) / "summary.json").read_text())
                 for name in ("plain", "folds")}  # fmt: skip
    for name, summary in summaries.items():
        assert table.loc[name, "auroc"] == pytest.approx(summary["reports"]["val"]["metrics"]["auroc"]["value"])
    assert pd.isna(table.loc["folds", "auroc_difference"])  # judged on more boards than the baseline
    assert pd.notna(table.loc["probe", "auroc_difference"])
    before = sessions("s")
    assert set(before.values()) == {1}
    assert begin("s", runs=RUNS).wait() == 1
    assert sessions("s") == before
    attempts = {file.stem: json.loads(file.read_text()) for file in Path("s/attempts").iterdir()}
    assert [found["status"] for name, found in attempts.items() if name.startswith("greedy")] == ["failed"]


@pytest.mark.slow
def test_two_processes_divide_the_runs_and_make_none_twice(workplace):
    asked = {"seeds": [0, 1, 2], "runs": [{"name": "a"}, {"name": "b", "keys": {"loss.name": "focal"}}]}
    workers = [begin("two", **asked) for _ in range(2)]
    said = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    made = [sum(": finished after" in line for line in lines.splitlines()) for lines in said]
    assert sum(made) == 6
    assert min(made) >= 1
    assert list(sessions("two").values()) == [1] * 6
    assert pd.read_csv("two/leaderboard.csv")["finished"].tolist() == [3, 3]
