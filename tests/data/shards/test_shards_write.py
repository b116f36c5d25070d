"""What ``ssl-pcb data shards`` writes: the store's own pixels, whole or not at all, and nothing that is kept apart."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
from PIL import Image
from shard_files import picture, settings

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.pool import training_rows
from ssl_pcb.data.samples import Samples
from ssl_pcb.data.shards.pool import open_shards
from ssl_pcb.data.shards.write import write_shards
from ssl_pcb.data.store import open_store
from ssl_pcb.errors import UserError

CROPS = ("0 0 32 32", "20 10 52 42", "64 16 96 64", "10 0 90 64")


@pytest.fixture
def tiles(tmp_path):
    """Four crops of each of two colour and one grey image of 96 x 64 px."""
    rng = np.random.default_rng(1)
    rows = []
    for name in ("a.png", "b.png", "c.png"):
        shape = (64, 96) if name == "c.png" else (64, 96, 3)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
        rows += [{"path": name, "crop": crop, "group": name, "split": "train", "label": "Defective",
                  "boxes": "1 2 3 4;5 6 7 8", "types": "open;short"} for crop in CROPS]  # fmt: skip
    return Manifest.build(rows, tmp_path)


def members(folder):
    """Contents of all shards: name to bytes."""
    found = {}
    for file in sorted(folder.glob("*.tar")):
        with tarfile.open(file) as tar:
            for member in tar:
                assert member.name not in found
                found[member.name] = tar.extractfile(member).read()
    return found


def pixels(data, channels):
    return np.array(Image.open(io.BytesIO(data))).reshape(48, 48, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_shards_hold_the_pixels_of_the_store(tiles, config, tmp_path, channels):
    config = config.model_copy(update={"channels": channels, "margin": 0.25})
    write_shards(tiles, "tiles", tmp_path / "out", config, per_shard=5)
    store, _ = open_store(tiles, config)
    found = members(tmp_path / "out")
    assert len(found) == 24
    for row in range(12):
        assert np.array_equal(pixels(found[f"{row:02d}.png"], channels), store.pixels[row]), row
    pool = open_shards(str(tmp_path / "out" / "*.tar"), settings(channels), 0, False)
    shown = np.concatenate([batch.inputs.permute(0, 2, 3, 1).numpy() for batch in pool.batches(0, 6)])
    assert {image.tobytes() for image in shown} == {image.tobytes() for image in store.pixels}
    assert (pool.unit, pool.decoder.margin) == ("tile", 8)


def test_jpg_shards_are_near_the_store(config, tmp_path):
    ramp = np.add.outer(np.arange(48), np.arange(48))
    Image.fromarray(np.stack([ramp, ramp[::-1], 255 - ramp], 2).astype(np.uint8)).save(tmp_path / "a.png")
    manifest = Manifest.build([{"path": "a.png", "split": "train"}], tmp_path)
    write_shards(manifest, "ramp", tmp_path / "out", config.model_copy(update={"image_size": 48}), kind="jpg")
    decoded = pixels(members(tmp_path / "out")["0.jpg"], 3).astype(int)
    store, _ = open_store(manifest, config.model_copy(update={"image_size": 48}))
    assert np.abs(decoded - store.pixels[0]).max() <= 6
    assert np.abs(decoded - store.pixels[0]).mean() < 1.5


def test_the_json_says_what_the_manifest_says(tiles, config, tmp_path):
    write_shards(tiles, "tiles", tmp_path / "out", config)
    content = hashlib.sha256((tmp_path / "b.png").read_bytes()).digest()[:16].hex()
    assert json.loads(members(tmp_path / "out")["05.json"]) == {
        "path": "b.png", "label": "Defective", "group": "b.png", "split": "train", "crop": "20 10 52 42",
        "boxes": "1 2 3 4;5 6 7 8", "types": "open;short", "size": 32, "margin": 4, "hash": content,
    }  # fmt: skip


def test_the_index_is_true_of_the_files(tiles, config, tmp_path):
    out = tmp_path / "out"
    write_shards(tiles, "tiles", out, config, per_shard=5)
    index = json.loads((out / "index.json").read_text())
    assert index["spec"] == {"size": 32, "margin": 4, "channels": 3, "bit_depth": 8, "context": 0}
    assert (index["version"], index["unit"], index["board_disjoint"], index["samples"]) == (1, "tile", True, 12)
    assert [shard["samples"] for shard in index["shards"]] == [5, 5, 2]
    for entry in [*index["shards"], index["table"]]:
        data = (out / entry["name"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    for entry in index["shards"]:
        with tarfile.open(out / entry["name"]) as tar:
            boards = {json.load(tar.extractfile(m))["group"] for m in tar if m.name.endswith(".json")}
        assert entry["boards"] == sorted(boards)
    assert sorted(os.listdir(out)) == ["index.json", "samples.parquet", *(s["name"] for s in index["shards"])]


def test_the_order_is_shuffled_by_the_seed_alone(boards, config, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_shards(boards, "boards", tmp_path / name, config, per_shard=100, seed=seed)
    a, b, c = ((tmp_path / name / "shard-000000.tar").read_bytes() for name in "abc")
    assert a == b != c
    keys = [name for name in members(tmp_path / "a") if name.endswith("png")]
    assert sorted(keys) != keys


def test_tiles_of_one_file_are_spread(config, tmp_path):
    Image.fromarray(picture(1, 256)).save(tmp_path / "a.png")
    Image.fromarray(picture(2, 256)).save(tmp_path / "b.png")
    rows = [{"path": name, "crop": f"{x} {y} {x + 32} {y + 32}", "split": "train"}
            for name in ("a.png", "b.png") for x in range(0, 256, 32) for y in range(0, 256, 32)]  # fmt: skip
    write_shards(Manifest.build(rows, tmp_path), "tiles", tmp_path / "out", config, per_shard=32)
    for file in (tmp_path / "out").glob("*.tar"):
        with tarfile.open(file) as tar:
            sources = [json.load(tar.extractfile(m))["path"] for m in tar if m.name.endswith(".json")]
        assert 5 < sources.count("a.png") < 27


def test_webdataset_reads_what_is_written(boards, shards):
    import webdataset as wds

    urls = [str(file) for file in sorted(shards.glob("*.tar"))]
    found = list(wds.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    assert sorted(int(sample["__key__"]) for sample in found) == list(range(44))
    for sample in found:
        assert np.array_equal(sample["png"], picture(int(sample["__key__"])))
        assert sample["json"]["path"] == f"{int(sample['__key__'])}.png"


def test_validation_images_are_not_written(boards, shards):
    written = {int(name[:2]) for name in members(shards)}
    assert written == set(np.flatnonzero(boards.frame["split"] == "train"))


def test_unsplit_images_are_written_when_asked_for(tmp_path, boards, config, caplog):
    shutil.copy(tmp_path / "46.png", tmp_path / "copy-of-val.png")
    shutil.copy(tmp_path / "44.png", tmp_path / "copy-of-holdout.png")
    for number in (60, 61, 62):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    more = [{"path": "copy-of-val.png"}, {"path": "copy-of-holdout.png"}, {"path": "60.png"},
            {"path": "61.png", "group": "v"}, {"path": "62.png", "label": "Defective"}]  # fmt: skip
    manifest = Manifest.build([*boards.frame.to_dict("records"), *more], tmp_path)
    with caplog.at_level("INFO"):
        write_shards(manifest, "boards", tmp_path / "out", config, use_unsplit=True)
    assert {int(name[:2]) for name in members(tmp_path / "out")} == {*range(44), 52}
    assert "2 samples left out that are copies of images kept apart" in caplog.text


@pytest.mark.parametrize("use_unsplit", [False, True])
def test_shards_hold_what_a_store_would_be_learned_from(tmp_path, boards, config, use_unsplit):
    shutil.copy(tmp_path / "46.png", tmp_path / "copy-of-val.png")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "7.png").read_bytes()[:900])
    Image.fromarray(picture(60)).save(tmp_path / "60.png")
    Image.fromarray(picture(61)).save(tmp_path / "61.png")
    more = [{"path": "copy-of-val.png"}, {"path": "damaged.png"}, {"path": "60.png"}, {"path": "61.png", "group": "v"},
            {"path": "damaged.png", "split": "train"}]  # fmt: skip
    manifest = Manifest.build([*boards.frame.to_dict("records"), *more], tmp_path)
    config = config.model_copy(update={"skip_bad": True})
    store, _ = open_store(manifest, config)
    write_shards(manifest, "boards", tmp_path / "out", config, use_unsplit=use_unsplit)
    rows = training_rows(Samples("boards", manifest, store), use_unsplit)
    assert set(rows.tolist()) == {int(name[:2]) for name in members(tmp_path / "out")}
    assert (52 in rows) == use_unsplit


def test_a_training_copy_of_a_validation_image_is_refused(tmp_path, boards, config):
    shutil.copy(tmp_path / "46.png", tmp_path / "7.png")
    for skip_bad in (False, True):
        with pytest.raises(UserError, match=r"7\.png: is a copy of a validation or test image"):
            write_shards(boards, "b", tmp_path / "out", config.model_copy(update={"skip_bad": skip_bad}))
    assert not list(tmp_path.glob("out*"))


def test_nothing_to_write_is_said(boards, config, tmp_path):
    unsplit = Manifest.build(boards.frame.assign(split=""), tmp_path)
    with pytest.raises(UserError, match=r"b\.csv: no sample is in split 'train'.*16 unlabelled.*--use-unsplit"):
        write_shards(unsplit, "b.csv", tmp_path / "out", config)
    assert not list(tmp_path.glob("out*"))


def test_bad_files_stop_or_are_left_out(boards, config, tmp_path, caplog):
    (tmp_path / "7.png").write_bytes((tmp_path / "7.png").read_bytes()[:900])
    (tmp_path / "8.png").unlink()
    with pytest.raises(UserError, match=r"[78]\.png: .*--skip-bad goes on"):
        write_shards(boards, "b", tmp_path / "out", config)
    assert not list(tmp_path.glob("out*"))
    index = write_shards(boards, "b", tmp_path / "out", config.model_copy(update={"skip_bad": True}))
    assert index.samples == 42
    assert "2 unreadable files left out" in caplog.text


@pytest.mark.parametrize("name", ["out", "out.part"])
def test_other_files_are_never_touched(boards, config, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.doc").write_text("mine")
    with pytest.raises(UserError, match=f"{name}: (exists and is not an empty folder|is in the way)"):
        write_shards(boards, "b", tmp_path / "out", config)
    assert (tmp_path / name / "thesis.doc").read_text() == "mine"
    assert len(list(tmp_path.glob("out*"))) == 1


def test_an_empty_folder_may_be_filled(boards, config, tmp_path):
    (tmp_path / "out").mkdir()
    assert write_shards(boards, "b", tmp_path / "out", config).samples == 44


def test_a_killed_writer_leaves_nothing_that_looks_whole(tmp_path):
    Image.fromarray(picture(1, 128)).save(tmp_path / "a.png")
    crops = [f"{x} {y} {x + 32} {y + 32}" for x in range(0, 96, 2) for y in range(0, 96, 2)]
    rows = [{"path": "a.png", "crop": crop, "split": "train"} for crop in crops]
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    command = [sys.executable, "-m", "ssl_pcb", "data", "shards", "m.csv", "out", "--image-size", "32"]
    running = subprocess.Popen([*command, "--per-shard", "1"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": ROOT})
    while running.poll() is None and not (tmp_path / "out.part" / "shard-000009.tar").exists():
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert (tmp_path / "out.part").exists()
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part" / "index.json").exists()
    write_shards(Manifest.read(tmp_path / "m.csv"), "m.csv", tmp_path / "out", DataConfig(image_size=32))
    assert not (tmp_path / "out.part").exists()
    assert len(members(tmp_path / "out")) == 2 * len(crops)


ROOT = os.path.dirname(os.path.dirname(os.path.abspath(sys.modules["ssl_pcb"].__file__)))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here ({mounted.stderr.decode().strip()})")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk, config, tmp_path):
    Image.fromarray(picture(1, 512)).save(tmp_path / "a.png")
    rows = [{"path": "a.png", "crop": f"{x} {y} {x + 64} {y + 64}", "split": "train"}
            for x in range(0, 448, 32) for y in range(0, 448, 32)]  # fmt: skip
    manifest = Manifest.build(rows, tmp_path)
    for per_shard in (10, 1000):
        with pytest.raises(UserError, match=r"out: cannot be written \(No space left") as refused:
            write_shards(manifest, "m", small_disk / "out", config.model_copy(update={"image_size": 64}),
                         per_shard=per_shard)  # fmt: skip
        assert "\n" not in str(refused.value)
        assert os.listdir(small_disk) == []


def test_two_writers_of_one_folder_do_not_mix(boards, config, tmp_path, monkeypatch):
    from ssl_pcb.data.shards import write

    shard, refused = write._write_shard, []

    def beside_another(*arguments):
        shard(*arguments)
        with pytest.raises(UserError, match="out: another process is writing it") as stopped:
            write_shards(boards, "b", tmp_path / "out", config)
        refused.append(stopped)

    monkeypatch.setattr(write, "_write_shard", beside_another)
    write_shards(boards, "b", tmp_path / "out", config, per_shard=10)
    assert len(refused) == 5
    assert len(members(tmp_path / "out")) == 88
    assert sorted(found.name for found in tmp_path.glob("out*")) == ["out"]
