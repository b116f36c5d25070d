"""``ssl-pcb audit norms`` from the command line to its table."""

import json
from pathlib import Path

import pytest

SMALL = ("--backbone", "test_resnet", "--also", "test_nfnet", "--image-size", 32, "--batch-size", 4, "--steps", 6,
         "--device", "cpu", "--set", "runtime.precision=fp32", "--set", "runtime.layout=contiguous",
         "--set", "runtime.threads=1")  # fmt: skip


@pytest.fixture
def audit(ssl_pcb_cli, synthetic_boards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    return lambda *more: ssl_pcb_cli("audit", "norms", "--data", synthetic_boards, "--out", "norms", *SMALL, *more)


def test_a_row_for_batch_norm_for_group_norm_and_for_none(audit):
    ended = audit()
    assert ended.code == 0, ended.err
    report = json.loads(Path("norms/norms.json").read_text())
    rows = {row["norm"]: row for row in report["rows"]}
    assert list(rows) == ["batch", "group", "none"]
    assert [row["network"] for row in report["rows"]] == ["test_resnet", "test_resnet", "test_nfnet"]
    assert rows["batch"]["parameters"] == rows["group"]["parameters"] != rows["none"]["parameters"]
    for row in rows.values():
        assert row["peak_memory"] * 2**20 > 3 * 4 * row["parameters"]
        assert row["step_seconds"] > 0
        assert 0 <= row["auroc_eval"] <= 1
        assert report["meaning"].keys() < row.keys()
    assert rows["batch"]["batch_dependence"] > 0.01 > 1e-3 > rows["group"]["batch_dependence"]
    assert rows["batch"]["train_eval_gap"] > 0.01 > 1e-3 > rows["none"]["train_eval_gap"]
    for column in rows["batch"]:
        assert column in ended.out
    assert {"versions", "hardware", "data", "config"} <= report.keys()


def test_what_eight_views_change_is_no_cost_of_a_norm(audit):
    ended = audit("--set", "backbone.tta=symmetries", "--steps", 2)
    assert ended.code == 0, ended.err
    rows = {row["norm"]: row for row in json.loads(Path("norms/norms.json").read_text())["rows"]}
    assert max(rows[norm]["train_eval_gap"] for norm in ("group", "none")) < 1e-3


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--backbone", "test_nfnet"), "backbone.name: 'test_nfnet' has no batch norm whose cost could be told; name"),
        (("--also", "resnet19"), "backbone.name: timm has no model 'resnet19', did you mean"),
        (("--batch-size", 8), "12 labelled validation samples are fewer than two batches of 8; lower --batch-size"),
        (("--steps", 0), "--steps must be at least 1"),
        (("--set", "head.name=deep"), "head.name: 'deep' is not one of"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_in_one_line(audit, more, line):
    ended = audit(*more)
    assert ended.code == 2
    assert line in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not Path("norms").exists()


@pytest.mark.parametrize("more", [("--backbone", "test_nfnet"), ("--also", "resnet19")], ids=str)
def test_networks_are_refused_before_any_sample_is_read(audit, more):
    assert audit(*more).code == 2
    assert not Path("cache").exists()


def test_a_folder_in_use_is_not_written_to(audit):
    Path("norms").mkdir()
    Path("norms/mine.txt").write_text("")
    assert "norms: exists and is not empty; choose another --out" in audit().err
    assert [file.name for file in Path("norms").iterdir()] == ["mine.txt"]
