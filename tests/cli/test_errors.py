"""What bad input gets: one line that names the thing and the mend, exit code 2, and nothing written."""

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssl_pcb.data.manifest import Manifest

SMALL = ("--backbone", "test_resnet", "--image-size", 32, "--epochs", 1, "--batch-size", 8, "--threads", 1,
         "--precision", "fp32", "--device", "cpu", "--set", "runtime.layout=contiguous")  # fmt: skip
STAGES = ("pretrain", "linear-eval", "finetune")


@pytest.fixture
def refused(ssl_pcb_cli, tmp_path, monkeypatch):
    """Runs a command that must be refused; gives its one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))

    def run(*arguments) -> str:
        before = written(tmp_path)
        ended = ssl_pcb_cli(*arguments)
        assert ended.code == 2, ended
        assert len(ended.err.splitlines()) == 1, ended.err
        assert ended.err.startswith("ssl-pcb: error: ")
        assert "Traceback" not in ended.out + ended.err
        assert written(tmp_path) == before
        return ended.err

    return run


def written(folder):
    """Everything but finished caches, which a corrected command will use."""
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*")}
    return {name for name in found if not name.startswith("cache") or "part" in name}


@pytest.fixture
def boards(tmp_path):
    """A manifest with its own images (grey, 32 px): 3 boards of 12 images, half of each Defective."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(36):
        name = f"i{index:02d}.png"
        Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / name)
        board = index // 12
        rows.append({"path": name, "label": ("Defective", "NonDefective")[index % 2], "group": f"b{board}",
                     "split": ("train", "val", "test")[board]})  # fmt: skip
    return write(tmp_path / "m.csv", rows)


def write(path, rows):
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def changed(manifest, column, where, value):
    frame = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    frame.loc[where(frame), column] = value
    frame.to_csv(manifest, index=False)
    return manifest


@pytest.mark.parametrize("stage", STAGES)
def test_a_missing_manifest(refused, stage):
    line = refused(stage, "--data", "nowhere.csv", "--out", "run")
    assert "nowhere.csv" in line
    assert "data import" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("data", "check", "nowhere.csv"),
        ("data", "split", "nowhere.csv"),
        ("data", "import", "folder", "nowhere.csv", "out.csv"),
        ("audit", "augmentations", "--data", "nowhere.csv"),
        ("finetune", "--config", "nowhere.csv"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_missing_path_elsewhere(refused, arguments):
    assert "nowhere.csv" in refused(*arguments)


def test_a_missing_image(refused, boards, tmp_path):
    (tmp_path / "i05.png").unlink()
    assert "i05.png: no such image file" in refused("pretrain", "--data", boards, *SMALL, "--out", "run")


def test_a_missing_checkpoint(refused, boards):
    line = refused("finetune", "--data", boards, *SMALL, "--checkpoint", "nowhere", "--out", "run")
    assert "nowhere" in line
    assert "'none'" in line


@pytest.mark.parametrize("stage", STAGES)
def test_an_unknown_key_names_the_nearest(refused, stage):
    line = refused(stage, "--set", "training.epoch=3", "--out", "run")
    assert "training.epoch: unknown key, did you mean epochs?" in line


def test_an_unknown_key_in_a_file(refused, tmp_path):
    (tmp_path / "c.yaml").write_text("method:\n  temprature: 0.1\n")
    assert "method.temprature: unknown key, did you mean temperature?" in refused("pretrain", "--config", "c.yaml")


@pytest.mark.parametrize("text", ["a: [", "just text", "- 1\n- 2", "1: 2", "\x00", ""])
def test_a_file_that_is_no_config(refused, tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    refused("pretrain", "--config", "c.yaml", "--data", "nowhere.csv")


@pytest.mark.parametrize(
    "flag",
    ["--bogus", "--sampler=bogus", "--device=tpu", "--set=training", "--loss=bogus", "--epochs=many", "--seed=-1"],
)
def test_a_wrong_flag(refused, flag):
    assert flag.partition("=")[0].strip("-") in refused("finetune", flag).replace("training.epochs", "epochs")


BAD_FILES = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "text": lambda data: b"this is no image\n" * 9,
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_bad_image_stops_training_and_is_named(refused, boards, tmp_path, kind, stage):
    image = tmp_path / "i03.png"
    image.write_bytes(BAD_FILES[kind](image.read_bytes()))
    line = refused(stage, "--data", boards, *SMALL, "--checkpoint", "none", "--out", "run")
    assert "i03.png" in line
    assert "--skip-bad" in line


def test_data_check_lists_all_bad_images(ssl_pcb_cli, boards, tmp_path):
    for name, spoil in zip(("i03.png", "i17.png", "i30.png"), BAD_FILES.values(), strict=True):
        (tmp_path / name).write_bytes(spoil((tmp_path / name).read_bytes()))
    ended = ssl_pcb_cli("data", "check", boards)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert all(name in ended.out for name in ("i03.png", "i17.png", "i30.png"))


def test_skip_bad_goes_on_and_counts(ssl_pcb_cli, boards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    for name in ("i03.png", "i17.png"):
        (tmp_path / name).write_bytes(b"")
    ended = ssl_pcb_cli("pretrain", "--data", boards, *SMALL, "--skip-bad", "--out", "run")
    assert ended.code == 0, ended.err
    assert "2 unreadable files left out" in ended.out
    assert '"skipped": 2' in (tmp_path / "run" / "run.json").read_text()


@pytest.mark.parametrize("stage", ["linear-eval", "finetune"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_one_class_only_in_a_supervised_stage(refused, boards, stage, split):
    changed(boards, "label", lambda frame: frame["split"] == split, "Defective")
    line = refused(stage, "--data", boards, *SMALL, "--checkpoint", "none", "--out", "run")
    assert f"split '{split}' has only Defective" in line


def test_one_class_only_in_a_test_split_that_is_asked_for(refused, boards):
    changed(boards, "label", lambda frame: frame["split"] == "test", "")
    line = refused("finetune", "--data", boards, *SMALL, "--checkpoint", "none", "--out", "run", "--test")
    assert "split 'test' has no labelled samples" in line


def test_unlabelled_only_is_fine_for_pretraining(ssl_pcb_cli, boards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    changed(boards, "label", lambda frame: frame["label"] != "", "")
    ended = ssl_pcb_cli("pretrain", "--data", boards, *SMALL, "--out", "run")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_fewer_samples_than_a_batch(refused, boards, stage):
    line = refused(stage, "--data", boards, *SMALL, "--checkpoint", "none", "--batch-size", 13, "--out", "run")
    assert "batch of 13" in line
    assert "at most 12" in line


def test_a_file_that_is_no_checkpoint(refused, boards):
    line = refused("finetune", "--data", boards, *SMALL, "--checkpoint", boards, "--out", "run")
    assert "m.csv: not a weights file" in line


def test_an_unknown_backbone_names_the_nearest(refused, boards):
    line = refused("pretrain", "--data", boards, *SMALL, "--backbone", "resnet81", "--out", "run")
    assert "resnet81" in line
    assert "did you mean resnet" in line


def test_a_backbone_that_takes_one_image_size_only(refused, boards):
    line = refused("finetune", "--data", boards, *SMALL, "--backbone", "mixer_s16_224", "--out", "run")
    assert "backbone.name: 'mixer_s16_224'" in line


def test_a_label_outside_the_map(refused, boards):
    changed(boards, "label", lambda frame: frame.index == 4, "NG")
    line = refused("finetune", "--data", boards, *SMALL, "--out", "run")
    assert "row 5, label 'NG' is not one of NonDefective, Defective" in line


def test_a_label_outside_the_map_at_import(refused, tmp_path):
    (tmp_path / "src" / "scratched").mkdir(parents=True)
    Image.new("L", (32, 32)).save(tmp_path / "src" / "scratched" / "a.png")
    line = refused("data", "import", "folder", "src", "out.csv", "--label-map", "OK=NonDefective,NG=Defective")
    assert "scratched" in line
    assert "--label-map" in line


def test_an_image_bomb(refused, boards):
    line = refused("pretrain", "--data", boards, *SMALL, "--set", "data.max_pixels=1000", "--out", "run")
    assert "i00.png: 32 x 32 pixels are more than the 1,000 allowed" in line
    assert "data.max_pixels" in line


def test_one_group_in_two_splits(refused, boards):
    changed(boards, "group", lambda frame: frame["split"] == "val", "b0")
    line = refused("pretrain", "--data", boards, *SMALL, "--out", "run")
    assert "group 'b0' is in two splits (train, val)" in line
    assert "data split" in line


def test_random_crops_without_leave(refused, boards):
    line = refused("pretrain", "--data", boards, "--set", "view.geometry.random_crop.min_area=0.2")
    assert "allow_crops" in line


def test_a_run_folder_in_use(refused, boards, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept.txt").write_text("mine")
    assert "run: exists and is not empty" in refused("pretrain", "--data", boards, *SMALL, "--out", "run")


def test_a_run_folder_that_cannot_be_made(refused, boards):
    line = refused("pretrain", "--data", boards, *SMALL, "--out", boards / "run")
    assert "m.csv" in line
    assert "--out" in line


@pytest.mark.parametrize("out", [(), ("--out", "run")])
def test_nothing_to_resume(refused, boards, out):
    refused("pretrain", "--data", boards, *SMALL, "--resume", *out)


def test_no_cuda_here(refused, boards):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a cuda device")
    assert "--device" in refused("pretrain", "--data", boards, *SMALL, "--device", "cuda", "--out", "run")


def test_names_of_files_cannot_break_the_line_or_reach_the_terminal(refused, tmp_path):
    manifest = write(tmp_path / "m.csv", [{"path": "a\nb\x1b[2J.png", "split": "train"}])
    line = refused("pretrain", "--data", manifest, *SMALL, "--out", "run")
    assert r"a\nb\x1b[2J.png" in line


def test_a_manifest_without_rows(refused, tmp_path):
    Manifest.build([{"path": "a.png"}], tmp_path).select([False]).write(tmp_path / "m.csv")
    assert "no rows" in refused("pretrain", "--data", "m.csv", *SMALL, "--out", "run")


def test_a_training_that_diverges(ssl_pcb_cli, boards, tmp_path, monkeypatch):
    """The folder stays, marked as diverged, because its log says what happened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    ended = ssl_pcb_cli("finetune", "--data", boards, *SMALL, "--epochs", 3, "--lr", "1e30", "--out", "run",
                        "--checkpoint", "none", "--set", "training.warmup=0")  # fmt: skip
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "diverged" in ended.err
    assert '"status": "diverged"' in (tmp_path / "run" / "run.json").read_text()


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_disk_without_room_for_checkpoints(refused, boards, disk, stage):
    folder = disk("1m")
    assert "checkpoints need" in refused(
        stage, "--data", boards, *SMALL, "--checkpoint", "none", "--out", folder / "run"
    )
    assert not (folder / "run").exists()


def test_a_disk_that_fills_up_during_a_run(ssl_pcb_cli, boards, disk, tmp_path, monkeypatch):
    """Another program takes the room after the look at it."""
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    folder = disk("1m")
    monkeypatch.setattr("ssl_pcb.stages.checks.shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 40))
    ended = ssl_pcb_cli("pretrain", "--data", boards, *SMALL, "--out", folder / "run")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1, ended.err
    assert f"free some space in {folder}/run" in ended.err
    assert not list(folder.rglob("*.part*"))
    assert '"status": "failed"' in (folder / "run" / "run.json").read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_wherever_it_is_met(refused, monkeypatch, number):
    def manifest_of(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ssl_pcb.data.manifest.Manifest.read", manifest_of)
    line = refused("data", "check", "m.csv")
    assert os.strerror(number) in line
    assert "free some space" in line


def test_names_of_files_cannot_reach_the_terminal_through_the_log(ssl_pcb_cli, boards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "i03.png").write_bytes(b"")
    (tmp_path / "i03.png").rename(tmp_path / "i\x1b[2J\n.png")
    frame = pd.read_csv(boards, dtype=str, keep_default_na=False)
    write(boards, frame.replace("i03.png", "i\x1b[2J\n.png"))
    ended = ssl_pcb_cli("pretrain", "--data", boards, *SMALL, "--skip-bad", "--out", "run")
    assert ended.code == 0, ended.err
    assert r"i\x1b[2J\n.png" in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.parametrize(
    "stage", [("audit", "robustness", "run"), ("evaluate", "run"), ("audit", "shortcuts", "m.csv")]
)
def test_an_out_below_a_file_is_refused_before_any_work(refused, tmp_path, stage):
    (tmp_path / "file").write_text("")
    line = refused(*stage, "--out", "file/new")
    assert "file is a file, so nothing can be written in it; choose another --out" in line


LOGS = """
import logging
from ssl_pcb import cli
cli._configure_logging()
for _ in range(3):
    logging.getLogger("ssl_pcb.stages").info("a line")
"""


@pytest.mark.parametrize("command", [["-c", LOGS], ["-m", "ssl_pcb", "config", "show", "finetune"]])
def test_a_reader_that_stops_early_gets_no_traceback(command):
    """As ``| head -1`` does: of what is logged, and of what is echoed."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, *command], stdout=pipe, stderr=pipe, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
