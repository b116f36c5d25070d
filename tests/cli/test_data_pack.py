"""``ssl-pcb data pack``: says what it packed and where, and takes its defaults from the config."""

import re

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.store import open_store


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(rng.integers(0, 256, (80, 80, 3), np.uint8)).save(tmp_path / f"{index}.png")
    rows = [{"path": f"{index}.png", "crop": crop} for index in range(3) for crop in ("0 0 40 40", "40 40 80 80")]
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    return tmp_path / "m.csv"


def test_it_packs_what_the_stages_open(ssl_pcb_cli, manifest, tmp_path):
    ended = ssl_pcb_cli("data", "pack", manifest)
    assert ended.code == 0, ended
    assert re.search(r"packed in [\d.]+ s \([\d.]+ images/s\)", ended.out)
    assert f"6 samples of 160 px with 3 channel(s), 0 MB: {tmp_path / 'cache'}" in ended.out
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache" / "stores").rglob("*.npy")}
    store, _ = open_store(Manifest.read(manifest), DataConfig(manifest=manifest))
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cache" / "stores").rglob("*.npy")} == before
    assert str(store.folder) in ended.out


def test_a_second_time_it_says_that_all_is_there(ssl_pcb_cli, manifest):
    ssl_pcb_cli("data", "pack", manifest)
    ended = ssl_pcb_cli("data", "pack", manifest)
    assert ended.code == 0
    assert "using the packed pixels in" in ended.out
    assert "packed in" not in ended.out


def test_flags_reach_the_pixels(ssl_pcb_cli, manifest, tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    ended = ssl_pcb_cli("data", "pack", manifest, "--image-size", 32, "--channels", 1, "--margin", 0.25, "--skip-bad",
                        "--bit-depth", 12, "--max-pixels", 9000, "--cache", tmp_path / "123")  # fmt: skip
    assert ended.code == 0, ended
    assert f"4 samples of 48 px with 1 channel(s), 0 MB: {tmp_path / '123'}" in ended.out
    assert f"1 unreadable files left out, first: {tmp_path / '1.png'}: empty file" in ended.out


@pytest.mark.parametrize(("flags", "line"), [
    (("--channels", 2), "channels: "), (("--image-size", "big"), "image_size: "), (("--margin", 3), "margin: "),
    (("--max-pixels", 100), "0.png: 80 x 80 pixels are more than the 100 allowed"),
])  # fmt: skip
def test_what_is_refused(ssl_pcb_cli, manifest, flags, line):
    ended = ssl_pcb_cli("data", "pack", manifest, *flags)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert line in ended.err


def test_a_manifest_without_rows(ssl_pcb_cli, manifest):
    manifest.write_text("path\n")
    ended = ssl_pcb_cli("data", "pack", manifest)
    assert ended.code == 2
    assert ended.err == f"ssl-pcb: error: {manifest}: the manifest has no rows\n"


def test_help_shows_the_defaults_of_the_config(ssl_pcb_cli):
    ended = ssl_pcb_cli("data", "pack", "--help")
    shown = " ".join(ended.out.split())
    for name in ("image_size", "channels", "bit_depth", "max_pixels"):
        assert f"[default: {getattr(DataConfig(), name)}]" in shown
