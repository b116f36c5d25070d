"""``ssl-pcb predict``: rows on standard output, and exit codes for scripts."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.data.manifest import parse_boxes


@pytest.fixture
def model(brightness, tmp_path, monkeypatch):
    """An exported model beside images that are OK, for REVIEW and NG, and a file that is none."""
    monkeypatch.chdir(tmp_path)
    for name, level in {"ok": 50, "review": 90, "ng": 120}.items():
        Image.fromarray(np.full((16, 16), level, np.uint8)).save(f"{name}.png")
    Path("bad.png").write_text("no image")
    return brightness()


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        (["ok"], 0, "1 OK"), (["ok", "review"], 1, "1 OK, 1 REVIEW"), (["ng", "ok"], 1, "1 OK, 1 NG"),
        (["ok", "bad"], 3, "1 OK; 1 could not be read"), (["ng", "bad"], 3, "1 NG; 1 could not be read"),
    ],
)  # fmt: skip
def test_exit_codes_and_the_count(model, ssl_pcb_cli, names, code, said):
    ended = ssl_pcb_cli("predict", model, *(f"{name}.png" for name in names))
    assert ended.code == code
    assert said in ended.err
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [row["path"] for row in rows] == [f"{name}.png" for name in names]
    assert {row["model"] for row in rows} == {"0123456789ab"}
    assert len({row["threshold"] for row in rows}) == 1
    assert all(bool(row["error"]) == (row["verdict"] == "") for row in rows)


@pytest.mark.parametrize("arguments", [("none.onnx", "ok.png"), ("model.onnx", "*.tif"), ("model.onnx",)])
def test_what_the_user_can_mend_ends_with_2_and_no_row(model, ssl_pcb_cli, arguments):
    ended = ssl_pcb_cli("predict", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1


def test_a_list_that_names_nothing_is_no_good_list(model, ssl_pcb_cli, monkeypatch):
    """A camera that has died names no image, and all of them are OK."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ended = ssl_pcb_cli("predict", model, "-", "-o", "rows.csv")
    assert ended.code == 2
    assert "name no image" in ended.err
    assert not Path("rows.csv").exists()


def test_json_lines_go_into_a_file(model, ssl_pcb_cli):
    ended = ssl_pcb_cli("predict", model, "ng.png", "bad.png", "--format", "jsonl", "-o", "out/rows.jsonl")
    assert (ended.code, ended.out) == (3, "")
    first, second = map(json.loads, Path("out/rows.jsonl").read_text().splitlines())
    assert (first["verdict"], first["score"], first["error"]) == ("NG", 20, None)
    assert first["suspects"] == [{"box": [0, 0, 16, 16], "score": 20, "verdict": "NG"}]
    assert (second["verdict"], second["score"]) == (None, None)
    assert "not an image" in second["error"]


def test_suspects_stand_in_csv_as_boxes_do_in_a_manifest(brightness, tmp_path, monkeypatch, ssl_pcb_cli):
    monkeypatch.chdir(tmp_path)
    panel = np.full((96, 96), 50, np.uint8)
    panel[0:32, 0:32] = panel[64:96, 64:96] = 200
    Image.fromarray(panel).save("panel.png")
    ended = ssl_pcb_cli("predict", brightness(tile=32), "panel.png", "--reference", "panel.png")
    (row,) = csv.DictReader(io.StringIO(ended.out))
    assert sorted(parse_boxes(row["suspects"])) == [(0, 0, 32, 32), (64, 64, 96, 96)]
    assert (row["windows"], row["difference"]) == ("25", "0.0")


def run(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "ssl_pcb", "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=environment, **options)


def test_names_that_are_no_text_or_break_lines_are_judged_and_written_as_text(model):
    odd = os.fsencode(os.getcwd()) + b"/\xff.png"
    Path(os.fsdecode(odd)).write_bytes(Path("ok.png").read_bytes())
    Path('=1+1,"<b>.png').write_bytes(Path("ok.png").read_bytes())
    ended = run(model, '=1+1,"<b>.png', "-", input=odd + b"\n")
    assert ended.returncode == 0, ended.stderr
    first, second = csv.DictReader(io.StringIO(ended.stdout.decode()))
    assert first["path"] == '=1+1,"<b>.png'
    assert second["path"].endswith("/\\udcff.png")
    assert second["verdict"] == "OK"


def test_a_reader_that_has_enough_ends_it_quietly(model):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "ssl_pcb", "predict", str(model), "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as going:
        going.stdout.close()
        _, said = going.communicate(b"ok.png\n" * 500)
    assert going.returncode == 141
    assert said == b""
