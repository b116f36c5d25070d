"""``ssl-pcb audit duplicates`` on sets with planted copies."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from ssl_pcb.audit.symmetries import SYMMETRIES, turned
from ssl_pcb.config.auditing import DuplicatesConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.synthetic.sample import render_sample

SIZE = 96


@pytest.fixture(scope="session")
def places():
    """Pictures of 24 places of 6 boards, half of them in colour."""
    images = [render_sample(5, number // 4, number % 4, image_size=SIZE).image for number in range(24)]
    return [Image.fromarray(image[..., 0] if image.shape[2] == 1 else image) for image in images]


@pytest.fixture
def audit(ssl_pcb_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    return lambda *more: ssl_pcb_cli("audit", "duplicates", "m.csv", "--out", "found", "--image-size", SIZE, *more)


def save_places(folder, places, **columns):
    rows = []
    for number, picture in enumerate(places):
        picture.save(folder / f"{number}.png")
        rows.append({"path": f"{number}.png", "group": f"b{number // 4}", "split": "train"} | columns)
    return rows


def write(folder, rows):
    Manifest.build(rows, folder).write(folder / "m.csv")


def altered(picture, symmetry=0, factor=1.0):
    planes = np.moveaxis(turned(np.moveaxis(np.atleast_3d(np.asarray(picture)), 2, 0), symmetry), 0, 2)
    found = Image.fromarray(np.ascontiguousarray(planes[..., 0] if planes.shape[2] == 1 else planes))
    return ImageEnhance.Brightness(found).enhance(factor)


def record(folder):
    return json.loads((folder / "found" / "audit.json").read_text())


def pairs(folder):
    return pd.read_csv(folder / "found" / "pairs.csv", dtype=str, keep_default_na=False)


def test_different_places_pass(audit, tmp_path, places):
    write(tmp_path, save_places(tmp_path, places))
    ended = audit()
    assert (ended.code, ended.err) == (0, "")
    assert record(tmp_path)["passed"] is True
    assert len(pairs(tmp_path)) == 0
    assert not (tmp_path / "found" / "pairs.png").exists()


def test_all_changed_copies_are_found_and_nothing_else(audit, tmp_path, places):
    """At least 0.95 of them, and at least 0.95 of what is found."""
    rows, rng = save_places(tmp_path, places), np.random.default_rng(0)
    planted = {}
    for number, picture in enumerate(places):
        symmetry, name = number % 8, f"{number}-copy.jpg"
        copy = altered(picture, symmetry, rng.uniform(0.7, 1.4))
        copy.save(tmp_path / name, quality=int(rng.integers(30, 96)))
        rows.append({"path": name, "group": "other", "split": "val"})
        planted[f"{number}.png", name] = SYMMETRIES[symmetry]
    write(tmp_path, rows)
    assert audit().code == 1
    found = pairs(tmp_path)
    named = dict(zip(zip(found["first_path"], found["second_path"], strict=True), found["transform"], strict=True))
    right = planted.keys() & named.keys()
    assert len(right) >= 0.95 * len(planted)
    assert len(right) >= 0.95 * len(named)
    assert all(named[pair] == planted[pair] for pair in right)
    assert set(found["where"]) == {"across splits"}
    finding = record(tmp_path)["findings"][0]
    assert (finding["value"], finding["limit"]) == (len(named), 0)
    assert finding["what"] == "copies (near) in splits train and val"
    with Image.open(tmp_path / "found" / "pairs.png") as sheet:
        assert sheet.width > 700


def test_equal_files_and_equal_pixels_are_told_apart_from_near_ones(audit, tmp_path, places):
    rows = save_places(tmp_path, places[:8])
    shutil.copy(tmp_path / "0.png", tmp_path / "file.png")
    places[1].save(tmp_path / "pixels.tif")
    altered(places[2], 3).save(tmp_path / "turned.bmp")
    close = np.array(places[3])
    close[0, 0] ^= 1
    Image.fromarray(close).save(tmp_path / "close.png")
    rows += [{"path": name, "group": "b9"} for name in ("file.png", "pixels.tif", "turned.bmp", "close.png")]
    write(tmp_path, rows)
    ended = audit()
    found = pairs(tmp_path).set_index("second_path")
    assert found["kind"].to_dict() == {
        "file.png": "file", "pixels.tif": "pixels", "turned.bmp": "pixels", "close.png": "near",
    }  # fmt: skip
    assert found["transform"]["turned.bmp"] == "turned by 270"
    assert ended.code == 0  # they are in no split, and so in no other one
    assert record(tmp_path)["facts"]["pairs"]["across boards"] == {"file": 1, "pixels": 2, "near": 1}


@pytest.mark.parametrize(
    ("splits", "boards", "where", "code"),
    [
        (("train", "val"), ("b1", "b2"), "across splits", 1),
        (("train", "holdout"), ("b1", "b1"), "across splits", 1),
        (("train", "train"), ("b1", "b2"), "across boards", 0),
        (("train", ""), ("b1", "b1"), "within a board", 0),
        (("", ""), ("~1", "~2"), "boards unknown", 0),
        (("train", "train"), ("b1", ""), "boards unknown", 0),
    ],
)
def test_only_copies_across_splits_fail(audit, tmp_path, places, splits, boards, where, code):
    rows = save_places(tmp_path, places[4:8], group="rest")
    for name, split, board in zip("xy", splits, boards, strict=True):
        places[0].save(tmp_path / f"{name}.png")
        rows.append({"path": f"{name}.png", "split": split, "group": board})
    write(tmp_path, rows)
    assert audit().code == code
    assert pairs(tmp_path)["where"].tolist() == [where]


def test_tiles_are_compared_and_not_their_files(audit, tmp_path):
    """Two panels that share one tile, turned."""
    rng, rows = np.random.default_rng(0), []
    panels = rng.integers(0, 256, (2, 64, 64), np.uint8)
    panels[1, :32, 32:] = np.rot90(panels[0, 32:, :32])
    for number, panel in enumerate(panels):
        Image.fromarray(panel).save(tmp_path / f"{number}.png")
        for crop in ("0 0 32 32", "32 0 64 32", "0 32 32 64", "32 32 64 64"):
            rows.append(
                {"path": f"{number}.png", "crop": crop, "group": f"b{number}", "split": ("train", "test")[number]}
            )
    write(tmp_path, rows)
    assert audit("--image-size", 32).code == 1
    (found,) = pairs(tmp_path).to_dict("records")
    assert (found["first_crop"], found["second_crop"]) == ("0 32 32 64", "32 0 64 32")
    assert (found["kind"], found["transform"]) == ("pixels", "turned by 90")
    assert record(tmp_path)["findings"][0]["samples"] == ["0.png 0 32 32 64 = 1.png 32 0 64 32"]


def test_patterns_that_repeat_are_counted_and_no_copies(audit, tmp_path):
    """One pattern on every board, each cut a pixel aside from the one before."""
    pattern = np.kron(np.random.default_rng(0).integers(0, 2, (5, 5)), np.full((12, 12), 210)).astype(np.uint8) + 20
    rows = []
    for number in range(4):
        Image.fromarray(np.roll(np.tile(pattern, (2, 2)), number, 1)[:64, :64]).save(tmp_path / f"{number}.png")
        rows.append({"path": f"{number}.png", "group": f"b{number}", "split": ("train", "val")[number % 2]})
    write(tmp_path, rows)
    ended = audit("--image-size", 64)
    assert ended.code == 0
    assert len(pairs(tmp_path)) == 0
    assert record(tmp_path)["facts"]["alike_but_no_copies"] >= 3
    assert "look alike without being copies" in ended.out


def test_flat_samples_are_copies_only_where_their_files_are(audit, tmp_path):
    rows = []
    for number, split in enumerate(("train", "val", "val")):
        Image.new("L", (32 + (number == 1), 32), 200).save(tmp_path / f"{number}.png")
        rows.append({"path": f"{number}.png", "split": split, "group": f"b{number}"})
    write(tmp_path, rows)
    assert audit().code == 1
    assert pairs(tmp_path)[["first_path", "second_path", "kind"]].to_numpy().tolist() == [["0.png", "2.png", "file"]]
    assert record(tmp_path)["facts"]["flat"] == 3


def test_many_equal_files_are_paired_with_the_first(audit, tmp_path, places):
    rows = save_places(tmp_path, [places[0]] * 30 + [places[1]])
    rows[17] |= {"split": "val", "group": "other"}
    write(tmp_path, rows)
    assert audit("--neighbours", 2).code == 1
    found = pairs(tmp_path)
    assert found["first_path"].unique().tolist() == ["0.png"]
    assert len(found) == 29
    assert found["where"].eq("across splits").sum() == 1


def test_contrary_labels_of_copies_are_counted_but_not_of_test_boards(audit, tmp_path, places):
    rows = []
    for number in range(6):
        places[number // 2].save(tmp_path / f"{number}.png")
        label = ("Defective", "NonDefective")[number % 2 if number < 4 else 0]
        split = "test" if number in (2, 3) else "train"
        rows.append({"path": f"{number}.png", "group": f"b{number // 2}", "split": split, "label": label})
    write(tmp_path, rows)
    ended = audit()
    assert pairs(tmp_path).set_index("first_path")["labels"].to_dict() == {"0.png": "differ", "2.png": "", "4.png": ""}
    assert "1 pairs of copies have contrary labels" in ended.out


def test_stricter_settings_find_less(audit, tmp_path, places):
    rows = save_places(tmp_path, places[:8])
    altered(places[0], 1, 1.2).save(tmp_path / "copy.jpg", quality=40)
    write(tmp_path, [*rows, {"path": "copy.jpg", "group": "other", "split": "val"}])
    assert audit().code == 1
    difference = float(pairs(tmp_path)["difference"][0])
    assert audit("--max-difference", difference - 0.1, "--out", "strict").code == 0
    assert difference < DuplicatesConfig().max_difference


def test_oblong_pictures_are_turned_too(audit, tmp_path, places):
    rows = save_places(tmp_path, [place.crop((0, 0, SIZE, 37)) for place in places])
    altered(places[9].crop((0, 0, SIZE, 37)), 3, 1.1).save(tmp_path / "copy.jpg", quality=60)
    write(tmp_path, [*rows, {"path": "copy.jpg", "group": "other", "split": "val"}])
    assert audit().code == 1
    assert pairs(tmp_path)[["first_path", "transform"]].to_numpy().tolist() == [["9.png", "turned by 270"]]


def test_a_network_can_look_for_what_is_alike(ssl_pcb_cli, audit, tmp_path, places):
    rows = save_places(tmp_path, places)
    altered(places[5], 0, 1.2).save(tmp_path / "copy.jpg", quality=40)
    write(tmp_path, [*rows, {"path": "copy.jpg", "group": "b0x", "split": "val"}])
    small = ["--backbone", "test_resnet", "--image-size", 32, "--batch-size", 8, "--epochs", 1, "--device", "cpu"]
    assert ssl_pcb_cli("pretrain", "--data", "m.csv", "--out", "run", *small).code == 0
    ended = ssl_pcb_cli("audit", "duplicates", "m.csv", "--run", "run", "--out", "found", "--device", "cpu")
    assert ended.code == 1
    assert pairs(tmp_path)[["first_path", "second_path"]].to_numpy().tolist() == [["5.png", "copy.jpg"]]
    assert record(tmp_path)["facts"]["features"] == "run"
    assert "--image-size: with --run" in audit("--run", "run", "--out", "other").err


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--min-correlation", "2"], "min_correlation: "),
        (["--max-difference", "0"], "max_difference: "),
        (["--neighbours", "0"], "neighbours: "),
        (["--image-size", "8"], "image_size: "),
    ],
)
def test_what_the_user_can_mend_is_one_line(audit, tmp_path, places, more, line):
    write(tmp_path, save_places(tmp_path, places[:4]))
    ended = audit(*more)
    assert ended.code == 2
    assert line in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "found").exists()


def test_unreadable_files_and_used_folders(audit, tmp_path, places):
    write(tmp_path, save_places(tmp_path, places[:4]))
    (tmp_path / "2.png").write_bytes(b"")
    ended = audit()
    assert ended.code == 2
    assert "2.png" in ended.err
    assert audit("--skip-bad").code == 0
    assert "found: exists and is not empty" in audit("--skip-bad").err


def test_a_run_that_is_none_is_refused(ssl_pcb_cli, audit, tmp_path, places):
    write(tmp_path, save_places(tmp_path, places[:4]))
    ended = ssl_pcb_cli("audit", "duplicates", "m.csv", "--run", "nothing", "--out", "found")
    assert ended.code == 2
    assert "nothing: is no folder of a finished run" in ended.err


def test_names_of_files_do_not_command_the_terminal(audit, tmp_path, places):
    rows = save_places(tmp_path, places[:4])
    hostile = "\x1b[31m\ncopy.png"
    shutil.copy(tmp_path / "0.png", tmp_path / hostile)
    write(tmp_path, [*rows, {"path": hostile, "group": "b9", "split": "val", "label": "Defective"}])
    ended = audit()
    assert ended.code == 1
    assert "\x1b" not in ended.out + ended.err
    assert record(tmp_path)["findings"][0]["samples"] == [f"0.png = {hostile}"]
