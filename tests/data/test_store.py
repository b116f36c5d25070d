"""The store: its pixels are those of decode and cut, and it is there whole or not at all."""

import os
import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data import store
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.store import open_store
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import decode
from ssl_pcb.imaging.resize import cut

CROPS = ("0 0 32 32", "20 10 52 42", "64 16 96 64", "")


@pytest.fixture
def boards(tmp_path):
    """Two colour and one grey image of 96 x 64 px with four samples each."""
    rng = np.random.default_rng(1)
    rows = []
    for name in ("a.png", "b.png", "c.png"):
        shape = (64, 96) if name == "c.png" else (64, 96, 3)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
        rows += [{"path": name, "crop": crop} for crop in CROPS]
    return Manifest.build(rows, tmp_path)


@pytest.fixture
def config(tmp_path):
    return DataConfig(image_size=32, margin=0.25, cache=tmp_path / "cache")


def leftovers(config):
    return [file.name for file in (config.cache / "stores").glob("*") if "part" in file.name]


def truncate(file, share=0.5):
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def test_pixels_are_those_of_decode_and_cut(boards, config):
    opened, resolved = open_store(boards, config)
    assert opened.pixels.shape == (12, 48, 48, 3)
    assert resolved.channels == opened.spec.channels == 3
    assert opened.rows.tolist() == list(range(12))
    for sample in boards:
        image = decode(sample.path, channels=3)
        assert np.array_equal(opened.pixels[sample.index], cut(image, sample.crop, 32, 8)), sample


def test_the_ring_holds_what_lies_around_the_crop(boards, config):
    opened, _ = open_store(boards, config)
    source = np.array(Image.open(boards.sample(1).path))
    assert np.array_equal(opened.pixels[1], source[2:50, 12:60])
    assert np.array_equal(opened.pixels[0][8:, 8:], source[:40, :40])  # at the image's end: its mirror image
    assert np.array_equal(opened.pixels[0][:8, 8:], source[:8, :40][::-1])


def test_whole_images_have_no_ring(boards, config):
    opened, _ = open_store(boards.select(boards.frame["crop"].eq("")), config)
    assert opened.pixels.shape == (3, 32, 32, 3)


def test_one_channel_is_luma(boards, config):
    opened, _ = open_store(boards, config.model_copy(update={"channels": 1}))
    luma = np.array(Image.open(boards.sample(1).path).convert("L"))
    assert np.array_equal(opened.pixels[1, ..., 0], luma[2:50, 12:60])


def test_a_store_is_packed_once(boards, config):
    first, _ = open_store(boards, config)
    before = (first.folder / "pixels.npy").stat().st_mtime_ns
    second, _ = open_store(boards, config)
    assert second.folder == first.folder
    assert (second.folder / "pixels.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", [{"image_size": 64}, {"margin": 0.125}, {"channels": 1}], ids=str)
def test_another_transform_is_another_store(boards, config, change):
    assert open_store(boards, config)[0].folder != open_store(boards, config.model_copy(update=change))[0].folder


def test_a_changed_source_file_gives_a_new_store(boards, config, tmp_path):
    old, _ = open_store(boards, config)
    time.sleep(0.01)
    Image.fromarray(np.full((64, 96, 3), 7, np.uint8)).save(tmp_path / "b.png")
    new, _ = open_store(boards, config)
    assert new.folder != old.folder
    assert (new.pixels[4:8, ..., 0] == 7).all()
    assert new.hashes[4] != old.hashes[4]
    assert new.hashes[0] == old.hashes[0]


def test_the_first_bad_file_is_named_and_nothing_is_left(boards, config, tmp_path):
    truncate(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"b\.png: damaged or truncated.*--skip-bad") as refused:
        open_store(boards, config)
    assert "\n" not in str(refused.value)
    assert not (config.cache / "stores").exists() or not os.listdir(config.cache / "stores")


@pytest.mark.parametrize("spoil", [truncate, lambda file: file.write_bytes(b""), lambda file: file.unlink()],
                         ids=["truncated", "empty", "missing"])  # fmt: skip
def test_skip_bad_leaves_files_out_and_counts_them(boards, config, tmp_path, spoil):
    spoil(tmp_path / "b.png")
    opened, _ = open_store(boards, config.model_copy(update={"skip_bad": True}))
    assert list(opened.bad) == ["b.png"]
    assert opened.rows.tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    sample = boards.sample(9)
    assert np.array_equal(opened.pixels[9], cut(decode(sample.path, channels=3), sample.crop, 32, 8))
    assert leftovers(config) == []


def test_a_mended_file_is_taken_again(boards, config, tmp_path):
    skipping = config.model_copy(update={"skip_bad": True})
    whole = (tmp_path / "b.png").read_bytes()
    truncate(tmp_path / "b.png")
    assert len(open_store(boards, skipping)[0].rows) == 8
    (tmp_path / "b.png").write_bytes(whole)
    assert len(open_store(boards, skipping)[0].rows) == 12


def test_a_raised_pixel_limit_is_obeyed_by_skip_bad(boards, config, tmp_path):
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    low = config.model_copy(update={"skip_bad": True, "max_pixels": 64 * 96})
    assert list(open_store(boards, low)[0].bad) == ["a.png"]
    assert open_store(boards, low.model_copy(update={"max_pixels": 10**6}))[0].bad == {}


def test_no_readable_file_at_all(boards, config, tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(UserError, match="none of the manifest's images can be read"):
        open_store(boards, config.model_copy(update={"skip_bad": True}))


def refuses_to_pack(boards, config):
    with pytest.raises(UserError, match=r"cannot write 0 MB.*data\.cache") as refused:
        open_store(boards, config)
    assert "\n" not in str(refused.value)
    assert leftovers(config) == []


def test_a_write_that_fails_leaves_nothing(boards, config):
    """A limit on file sizes stands for a disk that fills up while the store is written."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        refuses_to_pack(boards, config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(open_store(boards, config)[0].rows) == 12


def test_a_full_disk(boards, config, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    try:
        refuses_to_pack(boards, config.model_copy(update={"cache": disk}))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_another_process_may_be_faster(boards, config, monkeypatch):
    """The loser of the race finds the winner's store in place and takes it."""
    write = store._write

    def overtaken(manifest, settings, spec, bad, part, largest):
        write(manifest, settings, spec, bad, part, largest)
        shutil.copytree(part, part.with_name(part.name.partition(".")[0]))

    monkeypatch.setattr(store, "_write", overtaken)
    opened, _ = open_store(boards, config)
    assert opened.pixels.shape == (12, 48, 48, 3)
    assert leftovers(config) == []
