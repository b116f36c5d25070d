"""The store: its pixels are those of decode and cut, and it is there whole or not at all."""

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data import packing
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.packing import pack
from ssl_pcb.data.sources import Sources
from ssl_pcb.data.store import StoreSpec, open_store
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
    """All that is no finished store, no lock, and no record of what ``auto`` came to."""
    found = [f for f in (config.cache / "stores").glob("*") if not (f / "index.json").exists() and f.stat().st_size]
    return [file.name for file in found if file.suffix != ".json"]


def stores(config):
    return [file for file in (config.cache / "stores").glob("*") if file.is_dir()]


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


def test_what_the_network_sees_around_a_crop_is_packed_at_the_crops_own_scale(boards, config):
    tiles = boards.select(boards.frame["crop"].ne(""))
    wide = config.model_copy(update={"image_size": 48, "context": 8, "margin": 1 / 12})
    opened, _ = open_store(tiles, wide)
    assert (opened.spec.own, opened.spec.ring, opened.spec.side) == (32, 12, 56)
    source = np.array(Image.open(boards.sample(1).path))
    assert np.array_equal(opened.pixels[1][2:-2, 2:-2], source[0:52, 10:62])
    plain, _ = open_store(tiles, wide.model_copy(update={"context": 0}))
    assert plain.folder != opened.folder
    with pytest.raises(UserError, match=r"data.context: shows what surrounds a tile, and these are whole images"):
        open_store(boards.select(boards.frame["crop"].eq("")), wide)


def test_whole_images_have_no_ring(boards, config):
    opened, _ = open_store(boards.select(boards.frame["crop"].eq("")), config)
    assert opened.pixels.shape == (3, 32, 32, 3)


def test_one_channel_is_luma(boards, config):
    opened, _ = open_store(boards, config.model_copy(update={"channels": 1}))
    luma = np.array(Image.open(boards.sample(1).path).convert("L"))
    assert np.array_equal(opened.pixels[1, ..., 0], luma[2:50, 12:60])


@pytest.mark.parametrize("workers", ["alone", "processes"])
def test_several_processes_pack_the_same_pixels(boards, config, monkeypatch, workers):
    monkeypatch.setattr(packing, "ALONE_BELOW", 0 if workers == "processes" else 1 << 40)
    monkeypatch.setattr(packing, "CHUNK_FILES", 1)
    monkeypatch.setattr(packing, "cores", lambda: 2)
    opened, _ = open_store(boards, config)
    for sample in boards:
        image = decode(sample.path, channels=3)
        assert np.array_equal(opened.pixels[sample.index], cut(image, sample.crop, 32, 8)), sample
    assert opened.digests(np.array([5])) == [hashlib.sha256((boards.root / "b.png").read_bytes()).hexdigest()[:32]]


def test_a_store_is_packed_once_and_opened_without_a_look_into_the_files(boards, config, tmp_path):
    first, resolved = open_store(boards, config)
    before = (first.folder / "pixels.npy").stat().st_mtime_ns
    for name in ("a.png", "b.png", "c.png"):  # nobody could tell the channels from these
        then = (tmp_path / name).stat()
        (tmp_path / name).write_bytes(bytes(then.st_size))
        os.utime(tmp_path / name, ns=(then.st_atime_ns, then.st_mtime_ns))
    second, again = open_store(boards, config)
    assert second.folder == first.folder
    assert (second.folder / "pixels.npy").stat().st_mtime_ns == before
    assert again == resolved
    assert again.channels == 3


def test_manifests_that_name_the_same_files_from_other_folders_share_a_store(boards, config, tmp_path):
    first, _ = open_store(boards, config)
    (tmp_path / "fold").mkdir()
    moved = boards.frame.assign(path="../" + boards.frame["path"])
    again, _ = open_store(Manifest.build(moved, tmp_path / "fold"), config)
    assert again.folder == first.folder
    (tmp_path / "other").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy2(tmp_path / name, tmp_path / "other")
    other, _ = open_store(Manifest.build(boards.frame, tmp_path / "other"), config)
    assert other.folder != first.folder


def test_a_store_holds_plain_arrays_and_json(boards, config):
    folder = open_store(boards, config)[0].folder
    assert json.loads((folder / "index.json").read_text())["spec"]["size"] == 32
    arrays = [file for file in folder.iterdir() if file.name != "index.json"]
    assert len(arrays) == 5
    for file in arrays:
        assert np.load(file, allow_pickle=False).dtype.kind in "ui"


@pytest.mark.parametrize("spoil", [
    lambda folder: (folder / "index.json").write_text("{"),
    lambda folder: (folder / "index.json").write_text("[]"),
    lambda folder: (folder / "pixels.npy").write_bytes(b"short"),
    lambda folder: np.save(folder / "hashes.npy", np.array([{}], object), allow_pickle=True),
    lambda folder: (folder / "rows.npy").unlink(),
])  # fmt: skip
def test_a_damaged_store_is_named(boards, config, spoil):
    folder = open_store(boards, config)[0].folder
    spoil(folder)
    with pytest.raises(UserError, match=f"{folder.name}: damaged packed pixels.*delete that folder") as refused:
        open_store(boards, config)
    assert "\n" not in str(refused.value)


def test_automatic_settings_find_the_store_of_the_values_that_they_come_to(boards, config, caplog):
    """A resumed run asks for the values that the interrupted one decided."""
    caplog.set_level(logging.INFO)
    automatic, decided = open_store(boards, config)
    assert (decided.channels, decided.bit_depth) == (3, 8)
    assert open_store(boards, decided)[0].folder == automatic.folder
    half = config.model_copy(update={"channels": 3})
    assert open_store(boards, half)[0].folder == automatic.folder
    assert caplog.text.count("packed in") == 1
    grey, _ = open_store(boards, config.model_copy(update={"channels": 1}))
    assert open_store(boards, config)[0].folder == automatic.folder != grey.folder


def test_settings_that_were_given_make_the_store_that_automatic_ones_find(boards, config, caplog):
    caplog.set_level(logging.INFO)
    given, _ = open_store(boards, config.model_copy(update={"channels": 3, "bit_depth": 8}))
    assert open_store(boards, config)[0].folder == given.folder
    assert caplog.text.count("packed in") == 1


def test_automatic_settings_are_decided_anew_for_changed_files(boards, config, tmp_path):
    assert open_store(boards, config)[1].channels == 3
    for name in ("a.png", "b.png", "c.png"):
        Image.new("L", (96, 64), 5).save(tmp_path / name)
    opened, resolved = open_store(boards, config)
    assert resolved.channels == opened.pixels.shape[-1] == 1
    assert stores(config) == [opened.folder]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"state": 3}'])
def test_a_damaged_record_of_automatic_settings_is_made_anew(boards, config, text):
    opened, _ = open_store(boards, config)
    (record,) = opened.folder.parent.glob("*.json")
    whole = record.read_text()
    record.write_text(text)
    assert open_store(boards, config)[0].folder == opened.folder
    assert record.read_text() == whole


class Meanwhile(logging.Handler):
    """Does something once, as soon as a line is said that holds some words."""

    def __init__(self, words, action):
        super().__init__()
        self.words, self.action = words, action

    def emit(self, record):
        if self.action and self.words in record.getMessage():
            action, self.action = self.action, None
            action()


def test_a_store_that_another_process_replaces_while_it_is_opened(boards, config, tmp_path):
    first, _ = open_store(boards, config)

    def replace():
        Image.new("RGB", (96, 64), (7, 7, 8)).save(tmp_path / "b.png")
        open_store(boards, config)

    handler = Meanwhile("using the packed pixels", replace)
    store_log = logging.getLogger("ssl_pcb.data.store")
    store_log.addHandler(handler)
    store_log.setLevel(logging.INFO)
    try:
        second, _ = open_store(boards, config)
    finally:
        store_log.removeHandler(handler)
        store_log.setLevel(logging.NOTSET)
    assert handler.action is None
    assert second.folder != first.folder
    assert (second.pixels[4:8] == (7, 7, 8)).all()


@pytest.mark.parametrize("change", [{"image_size": 64}, {"margin": 0.125}, {"channels": 1}], ids=str)
def test_another_transform_is_another_store(boards, config, change):
    assert open_store(boards, config)[0].folder != open_store(boards, config.model_copy(update=change))[0].folder


def test_a_changed_source_file_makes_the_store_stale(boards, config, tmp_path, caplog):
    old, _ = open_store(boards, config)
    hashes = np.array(old.hashes)
    time.sleep(0.01)
    Image.fromarray(np.full((64, 96, 3), 7, np.uint8)).save(tmp_path / "b.png")
    with caplog.at_level(logging.INFO):
        new, _ = open_store(boards, config)
    assert f"of 3 source files 1 changed since they were packed, first {tmp_path / 'b.png'}" in caplog.text
    assert (new.pixels[4:8, ..., 0] == 7).all()
    assert new.hashes[4] != hashes[4]
    assert new.hashes[0] == hashes[0]
    assert stores(config) == [new.folder]


def test_a_vanished_source_file_is_named_with_what_to_do(boards, config, tmp_path, caplog):
    old, _ = open_store(boards, config)
    (tmp_path / "b.png").unlink()
    with caplog.at_level(logging.INFO), pytest.raises(UserError) as refused:
        open_store(boards, config)
    assert "of 3 source files 1 vanished since" in caplog.text
    line = str(refused.value)
    assert line.startswith(f"{tmp_path / 'b.png'}: no such image file; put it back, take its rows out")
    assert "\n" not in line
    assert stores(config) == [old.folder]  # the file may come back


def test_two_sets_with_the_same_names_have_a_store_each(boards, config, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (96, 64), (1, 90, 3)).save(other / name)
    first, _ = open_store(boards, config)
    second, _ = open_store(Manifest.build(boards.frame, other), config)
    assert (second.pixels[0] == (1, 90, 3)).all()
    assert first.folder in stores(config)


def test_a_file_that_changes_while_it_is_packed_leaves_no_store(boards, config, tmp_path):
    sources = Sources.of(boards)
    Image.new("RGB", (96, 64)).save(tmp_path / "b.png")
    for skip_bad in (False, True):
        with pytest.raises(UserError, match=r"b\.png: changed while it was being packed; repeat") as refused:
            pack(sources, StoreSpec(32, 0, 3, 8), 10**6, 10**6, tmp_path / "store-1", skip_bad=skip_bad)
        assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("store*"))


def test_a_deep_file_that_the_automatic_look_missed_is_refused_by_name(boards, config, tmp_path, monkeypatch):
    """Read as if all 16 bits were used, a 12-bit picture would be nearly black."""
    monkeypatch.setattr("ssl_pcb.data.store.HEADERS", 2)  # the first and the last
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(np.full((64, 96), 4000, np.uint16)))
    with pytest.raises(UserError, match=r"b\.png: holds the value 4000.*set data\.bit_depth to 12"):
        open_store(boards, config)
    opened, _ = open_store(boards, config.model_copy(update={"bit_depth": 12}))
    assert (opened.pixels[4] == 4000 >> 4).all()


def test_the_first_bad_file_is_named_and_nothing_is_left(boards, config, tmp_path):
    truncate(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"b\.png: damaged or truncated.*--skip-bad") as refused:
        open_store(boards, config)
    assert "\n" not in str(refused.value)
    assert stores(config) == []


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


# Full disks -------------------------------------------------------------------------------------------------


def refuses_to_pack(boards, config, full=True):
    with pytest.raises(UserError, match=r"stores: cannot write \d+ MB.*data\.cache") as refused:
        open_store(boards, config)
    assert "\n" not in str(refused.value)
    assert ("ssl-pcb data shards" in str(refused.value)) == full
    assert stores(config) == leftovers(config) == []


def test_a_write_that_fails_leaves_nothing(boards, config):
    """A limit on file sizes stands for a disk quota."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        refuses_to_pack(boards, config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(open_store(boards, config)[0].rows) == 12


def test_a_disk_that_is_too_small(boards, config, disk):
    refuses_to_pack(boards, config.model_copy(update={"cache": disk("64k")}))


@pytest.mark.parametrize("left", [1, 20_000], ids=["no room for the pixels", "no room for the tables"])
def test_a_disk_that_fills_up_after_the_look_at_it(config, disk, tmp_path, monkeypatch, left):
    """Another program's file takes the room: the look at the free space, which comes first, finds enough."""
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "a.png")
    boards = Manifest.build([{"path": "a.png"}] * 2000, tmp_path)  # 6.1 MB of pixels, 48 kB of tables
    folder = disk("8m")
    look = packing.shutil.disk_usage

    def look_and_fill(path):
        found = look(path)
        needed = 2000 * 32 * 32 * 3 if left > 1 else 0
        (folder / "other").write_bytes(bytes(found.free - needed - left))
        return found

    monkeypatch.setattr(packing.shutil, "disk_usage", look_and_fill)
    refuses_to_pack(boards, config.model_copy(update={"cache": folder}))
    monkeypatch.undo()
    (folder / "other").unlink()
    assert len(open_store(boards, config.model_copy(update={"cache": folder}))[0].rows) == 2000


def test_a_disk_that_reserves_nothing_fills_up_under_the_packing(config, disk, tmp_path, monkeypatch):
    monkeypatch.delattr(packing.os, "posix_fallocate")
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "a.png")
    boards = Manifest.build([{"path": "a.png"}] * 2000, tmp_path)
    folder = disk("8m")
    look = packing.shutil.disk_usage

    def look_and_fill(path):
        found = look(path)
        (folder / "other").write_bytes(bytes(found.free - 1_000_000))
        return found

    monkeypatch.setattr(packing.shutil, "disk_usage", look_and_fill)
    refuses_to_pack(boards, config.model_copy(update={"cache": folder}))


def test_a_packing_process_that_cannot_be_started_is_no_full_disk(boards, config, monkeypatch):
    monkeypatch.setattr(packing, "ALONE_BELOW", 0)
    monkeypatch.setattr(packing, "cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(UserError, match=r"stores: packing failed \(No such file.*/nowhere/python\)") as refused:
        open_store(boards, config)
    assert "space" not in str(refused.value)
    assert "shards" not in str(refused.value)
    assert stores(config) == leftovers(config) == []


def test_too_many_open_files_are_no_full_disk(boards, config, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(packing, "ALONE_BELOW", 0)
    monkeypatch.setattr(packing, "cores", lambda: 64)  # two pipes for each
    monkeypatch.setattr(packing, "DECODED_PIXELS", 1 << 40)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 16, limits[1]))
    try:
        with pytest.raises(UserError, match=r"packing failed \(Too many open files\); .*limits") as refused:
            open_store(boards, config)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "space" not in str(refused.value)
    assert stores(config) == leftovers(config) == []


def test_all_is_on_the_disk_before_the_store_appears(boards, config, monkeypatch):
    """A power cut after the renaming finds whole files."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not say what is synced")
    synced, fsync = [], os.fsync

    def note(opened):
        synced.append(Path(os.readlink(f"/proc/self/fd/{opened}")))
        fsync(opened)

    monkeypatch.setattr(packing.os, "fsync", note)
    folder = open_store(boards, config)[0].folder
    names = [file.name for file in synced if file.parent.suffix == ".part"]
    assert sorted(names) == sorted(file.name for file in folder.iterdir())
    assert [file.suffix for file in synced if file.suffix == ".part"] == [".part"]
    assert synced[-1] == folder.parent


def test_a_cache_that_is_no_folder(boards, config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written.*data\.cache"):
        open_store(boards, config.model_copy(update={"cache": tmp_path / "file"}))


# Several processes ------------------------------------------------------------------------------------------

PACK = """
import logging, sys
from pathlib import Path
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.store import open_store
from ssl_pcb.data import packing
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
manifest = Manifest.read(sys.argv[1])
packing.ALONE_BELOW = int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
store, _ = open_store(manifest, DataConfig(image_size=32, cache=Path(sys.argv[2])))
print("rows", len(store.rows))
"""


@pytest.fixture
def panels(tmp_path):
    """A manifest of files that take a second or two to decode; small ones, to be made quickly."""
    Image.new("RGB", (1000, 1000), (9, 99, 9)).save(tmp_path / "0.png")
    for index in range(1, 60):
        os.link(tmp_path / "0.png", tmp_path / f"{index}.png")
    Manifest.build([{"path": f"{index}.png"} for index in range(60)], tmp_path).write(tmp_path / "m.csv")
    return tmp_path / "m.csv"


@pytest.fixture
def packer(tmp_path, panels, config):
    """Starts a process that packs ``panels`` when told to."""
    (tmp_path / "pack.py").write_text(PACK)
    started = []

    def start(helpers=False, rank="0"):
        process = subprocess.Popen(
            [sys.executable, tmp_path / "pack.py", panels, config.cache, "0" if helpers else str(1 << 40)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(Path(packing.__file__).parents[2]), "LOCAL_RANK": rank},
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_killed_packing_leaves_no_store_and_the_next_starts_clean(packer, panels, config, caplog):
    process = packer()
    go(process)
    until = time.monotonic() + 60
    while not list(config.cache.glob("stores/*.part/pixels.npy")) and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = leftovers(config)
    assert len(left) == 1
    assert left[0].endswith(".part")
    with caplog.at_level(logging.INFO):
        opened, _ = open_store(Manifest.read(panels), config)
    assert "removing what an interrupted packing left" in caplog.text
    assert (opened.pixels[:] == (9, 99, 9)).all()
    assert leftovers(config) == []


def test_of_two_processes_one_packs_and_the_other_waits(packer):
    both = [packer(), packer()]
    for process in both:
        go(process)
    said = sorted((process.communicate(timeout=120)[0] for process in both), key=len)
    assert [text.count("rows 60") for text in said] == [1, 1]
    assert [text.count("packed in") for text in said] == [0, 1]
    assert [text.count("another process is packing these samples") for text in said] == [1, 0]


def test_the_first_process_packs_because_it_alone_speaks(packer):
    second, first = packer(rank="1"), packer()
    go(second)
    time.sleep(0.3)
    go(first)
    said = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert [text.count("rows 60") for text in said] == [1, 1]
    assert [text.count("packed in") for text in said] == [1, 0]


def test_a_helper_process_packs_if_the_first_one_does_not(packer):
    second = packer(rank="1")
    go(second)
    assert "packed in" in second.communicate(timeout=120)[0]


def test_a_packing_process_that_dies_is_said(boards, config, monkeypatch):
    monkeypatch.setattr(packing, "ALONE_BELOW", 0)
    monkeypatch.setattr(packing, "cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(UserError, match="a packing process was killed") as refused:
        open_store(boards, config)
    assert "\n" not in str(refused.value)
    assert stores(config) == leftovers(config) == []


def test_packing_processes_end_with_a_killed_parent(packer):
    if packing.cores() == 1:
        pytest.skip("one core packs without more processes")
    process = packer(helpers=True)
    go(process)
    until = time.monotonic() + 60
    helpers = []
    while len(helpers) < 1 and time.monotonic() < until:
        helpers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert helpers
    process.kill()
    while any(alive(pid) for pid in helpers):
        assert time.monotonic() < until, "a packing process outlives its killed parent"
        time.sleep(0.02)


def alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_who_waited_takes_what_the_other_made(boards, config, caplog):
    """The store appears while this process waits for the lock; it is not packed a second time."""
    made, _ = open_store(boards, config)
    aside = config.cache / "aside"
    made.folder.rename(aside)
    before = (aside / "pixels.npy").stat().st_mtime_ns
    found = []
    lock = FileLock(config.cache / "stores" / f"{made.folder.name.partition('-')[0]}.lock")
    with caplog.at_level(logging.INFO), lock:
        caplog.clear()
        thread = threading.Thread(target=lambda: found.append(open_store(boards, config)[0]))
        thread.start()
        while "another process is packing" not in caplog.text:
            assert thread.is_alive()
            time.sleep(0.01)
        aside.rename(made.folder)
    thread.join()
    assert (found[0].folder / "pixels.npy").stat().st_mtime_ns == before
    assert "packed in" not in caplog.text
