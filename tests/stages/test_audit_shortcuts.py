"""``ssl-pcb audit shortcuts`` on sets with planted shortcuts, and on the real ones that are known to have some."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.data.samples import load_samples
from ssl_pcb.imaging.tiling import tile_grid

SIDE, BOX = 48, (8, 8, 18, 18)


def board_picture(generator):
    """Bars of copper of about the same extent, and nothing in the corner where defects will be."""
    image = Image.new("L", (SIDE, SIDE), 60)
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = generator.integers(20, 40, 2)
        pen.rectangle((x, y, x + 6, y + 3), int(generator.integers(150, 200)))
    return Image.fromarray(np.asarray(image) + generator.integers(0, 20, (SIDE, SIDE), np.uint8))


def mark(image):
    image = image.copy()
    ImageDraw.Draw(image).rectangle((BOX[0], BOX[1], BOX[2] - 1, BOX[3] - 1), 250)
    return image


def save_set(folder, change=None, *, boards=12, each=6, split="", suffix=".png", **columns):
    """A manifest of ``boards * each`` images, half with a bright square; ``change`` is the shortcut."""
    generator, rows = np.random.default_rng(0), []
    for number in range(boards * each):
        defective = bool(number % 2)
        image = board_picture(generator)
        image = mark(image) if defective else image
        name, saving = f"{number}{suffix}", {}
        if change:
            image, name, saving = change(image, name, defective)
        image.save(folder / name, **saving)
        row = {"path": name, "label": LABELS[defective], "group": f"b{number // each}", "split": split}
        rows.append(row | ({"boxes": "8 8 18 18"} if defective else {}) | columns)
    Manifest.build(rows, folder).write(folder / "m.csv")
    return folder / "m.csv"


@pytest.fixture
def audit(ssl_pcb_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda data, *more: ssl_pcb_cli("audit", "shortcuts", data, "--out", "found", "--folds", 2, *more)


def record(tmp_path):
    return json.loads((tmp_path / "found" / "audit.json").read_text())


def failed(tmp_path):
    return {finding["what"].removesuffix(" tells the label") for finding in record(tmp_path)["findings"]}


def cue(tmp_path, name):
    return next(each for each in record(tmp_path)["facts"]["cues"] if each["name"] == name)


def test_clean_data_pass_though_defects_are_plain_to_see(audit, tmp_path):
    ended = audit(save_set(tmp_path, lambda image, name, _: (image, name, {"quality": 90}), suffix=".jpg"))
    assert (ended.code, ended.err) == (0, "")
    found = record(tmp_path)
    assert (found["audit"], found["passed"], found["findings"]) == ("shortcuts", True, [])
    assert found["facts"]["disjoint"] == "board"
    samples, _ = load_samples(DataConfig(manifest=tmp_path / "m.csv", image_size=32, cache=tmp_path / "cache"))
    assert found["data"]["fingerprint"] == samples.fingerprint(labels=True)  # that of runs on the same samples
    assert found["facts"]["labels"] == {"NonDefective": 36, "Defective": 36}
    assert cue(tmp_path, "brightness")["auroc"] > 0.8
    # The square adds grey levels to the file, and is why there are more.
    assert (
        cue(tmp_path, "grey levels of the file")["low"]
        > 0.65
        > cue(tmp_path, "grey levels of the file")["blanked"]["low"]
    )
    assert "pass: no findings" in ended.out
    for picture in ("cues.png", "examples.png"):
        with Image.open(tmp_path / "found" / picture) as image:
            assert image.width > 300


def worse_jpeg(image, name, defective):
    return image, name.replace("png", "jpg"), {"quality": 70 if defective else 95}


def other_format(image, name, defective):
    return image, name.replace("png", "tiff") if defective else name, {}


def elongated(image, name, defective):
    return image.crop((0, 0, SIDE, SIDE - 10)) if defective else image, name, {}


def described(image, name, defective):
    return image, name, {"dpi": (72, 72)} if defective else {}


def fewer_levels(image, name, defective):
    return image.point(lambda value: value // 8 * 8) if not defective else image, name, {}


@pytest.mark.parametrize(
    ("change", "cues"),
    [
        (worse_jpeg, {"JPEG quantisation tables", "JPEG coarseness", "file size"}),
        (other_format, {"file ending", "format"}),
        (elongated, {"elongation", "height", "area"}),
        (described, {"metadata"}),
        (fewer_levels, {"grey levels of the file"}),
    ],
)
def test_a_planted_shortcut_of_files_fails(audit, tmp_path, change, cues):
    ended = audit(save_set(tmp_path, change))
    assert ended.code == 1
    assert cues | {"all file cues together"} <= failed(tmp_path)
    for finding in record(tmp_path)["findings"]:
        assert finding["low"] > finding["limit"] == 0.65
        assert finding["value"] <= finding["high"] <= 1
        assert finding["mend"]
        assert len(set(finding["samples"])) == 10
        assert finding["mend"] in ended.out


def test_the_limit_is_that_of_the_lower_bound(audit, tmp_path):
    """A shortcut that holds for most samples only."""

    def sometimes(image, name, defective):
        lies = int(name.split(".")[0]) % 6 < 2
        return other_format(image, name, defective != lies)

    data = save_set(tmp_path, sometimes)
    audit(data)
    found = cue(tmp_path, "format")
    assert 0.5 < found["low"] < found["auroc"] < found["high"]
    for step, fails in ((-0.01, True), (0.01, False)):
        out = f"at{step}"
        audit(data, "--limit", round(found["low"] + step, 3), "--out", out)
        findings = json.loads((tmp_path / out / "audit.json").read_text())["findings"]
        assert any(each["what"].startswith("format") for each in findings) == fails


def test_blanked_defects_take_the_cue_with_them_and_a_shortcut_stays(audit, tmp_path):
    def darker(image, name, defective):
        return (image.point(lambda value: value * 3 // 5) if defective else image), name, {}

    audit(save_set(tmp_path))
    from_defect = cue(tmp_path, "contrast")
    assert from_defect["unblanked"]["auroc"] > 0.95
    assert from_defect["blanked"]["auroc"] < 0.7
    assert from_defect["stays"] < 0.4
    (tmp_path / "dark").mkdir()
    audit(save_set(tmp_path / "dark", darker), "--out", "found-dark")
    (tmp_path / "found").rename(tmp_path / "old")
    (tmp_path / "found-dark").rename(tmp_path / "found")
    assert cue(tmp_path, "brightness")["stays"] > 0.9


@pytest.mark.parametrize("boxed", [2, 34])
def test_boxes_of_some_samples_excuse_no_shortcut_of_the_others(audit, tmp_path, boxed):
    """Whether few or nearly all of 36 defective samples have boxes."""
    data = save_set(tmp_path, fewer_levels)
    manifest = Manifest.read(data)
    number = manifest.frame["label"].eq("Defective").cumsum()
    Manifest(manifest.frame.assign(boxes=manifest.frame["boxes"].where(number <= boxed, "")), tmp_path).write(data)
    assert audit(data).code == 1
    assert "grey levels of the file" in failed(tmp_path)


def tiles(folder, defective, smaller=0):
    """Tiles of 8 panels, labelled by their place; Defective ones may be smaller."""
    rows, generator = [], np.random.default_rng(0)
    for panel in range(8):
        Image.fromarray(generator.integers(0, 256, (160, 160), np.uint8)).save(folder / f"{panel}.png")
        for x1, y1, x2, y2 in tile_grid(160, 160, 32):
            less = smaller * defective(x1, y1)
            row = {"path": f"{panel}.png", "label": LABELS[defective(x1, y1)], "group": f"b{panel}"}
            rows.append(row | {"crop": f"{x1} {y1} {x2 - less} {y2 - less}"})
    Manifest.build(rows, folder).write(folder / "m.csv")
    return folder / "m.csv"


def test_a_place_in_the_panel_is_reported_and_passes(audit, tmp_path):
    ended = audit(tiles(tmp_path, lambda x, y: x < 64 and y < 64))
    assert ended.code == 0
    assert cue(tmp_path, "place")["auroc"] > 0.99
    assert cue(tmp_path, "centre x")["auroc"] < 0.95
    assert "the same in all samples" in ended.out
    assert "no control of the content cues" in ended.out


def test_crops_cut_to_the_defect_fail(audit, tmp_path):
    assert audit(tiles(tmp_path, lambda x, y: (x + y) // 32 % 2, smaller=4)).code == 1
    assert {"crop width", "crop height", "crop area"} <= failed(tmp_path)
    assert "width" not in failed(tmp_path)


def test_labels_of_test_boards_are_not_looked_at(audit, tmp_path):
    data = save_set(tmp_path)
    frame = Manifest.read(data).frame
    test = frame["group"].isin(["b0", "b1", "b2"])
    frame["split"] = np.where(test, "test", "train")
    Manifest(frame, tmp_path).write(data)
    assert "the labels of split 'test' are not looked at" in audit(data).out
    swapped = frame["label"].map(dict(zip(LABELS, LABELS[::-1], strict=True)))
    Manifest(frame.assign(label=frame["label"].mask(test, swapped)), tmp_path).write(data)
    audit(data, "--out", "again")
    assert json.loads((tmp_path / "again" / "audit.json").read_text()) == record(tmp_path)


def test_without_boards_it_says_so(audit, tmp_path):
    data = save_set(tmp_path)
    Manifest(Manifest.read(data).frame.assign(group=""), tmp_path).write(data)
    ended = audit(data)
    assert "not by board, for the manifest names no real boards" in ended.out
    assert record(tmp_path)["facts"]["disjoint"] == "image"


def test_fewer_samples_are_whole_images(audit, tmp_path):
    data = tiles(tmp_path, lambda x, y: x < 64)
    ended = audit(data, "--samples", 99)
    assert "looking at 75 of 200 labelled samples" in ended.out
    assert record(tmp_path)["data"]["images"] == 3
    assert "samples: 10 in whole images do not hold both labels" in audit(data, "--samples", 10, "--out", "x").err


def test_samples_that_are_all_alike_pass(audit, tmp_path):
    rows = [{"path": f"{number}.png", "label": LABELS[number % 2], "group": f"b{number}"} for number in range(8)]
    for row in rows:
        Image.new("L", (16, 16), 90).save(tmp_path / row["path"])
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    assert audit("m.csv").code == 0
    assert {each["auroc"] for each in record(tmp_path)["facts"]["cues"]} == {0.5}


def test_unreadable_files_stop_it_or_are_counted(audit, tmp_path):
    data = save_set(tmp_path)
    good = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(good[: len(good) // 2])
    ended = audit(data)
    assert ended.code == 2
    assert "3.png: damaged or truncated image" in ended.err
    assert "--skip-bad" in ended.err
    assert not (tmp_path / "found").exists()
    assert "1 unreadable files left out, first:" in audit(data, "--skip-bad").out
    assert record(tmp_path)["data"]["samples"] == 71


def only_good(frame):
    return frame.assign(label="NonDefective")


def outside(frame):
    return frame.assign(crop="0 0 99 99")


@pytest.mark.parametrize(
    ("spoil", "more", "line"),
    [
        (only_good, [], "m.csv: has no Defective samples outside split 'test'"),
        (outside, [], "crop 0 0 99 99 is not inside the image of 48x48 px"),
        (None, ["--limit", "1.5"], "limit: "),
        (None, ["--folds", "1"], "folds: "),
        (None, ["--samples", "few"], "samples: "),
    ],
)
def test_what_the_user_can_mend_is_one_line(audit, tmp_path, spoil, more, line):
    data = save_set(tmp_path)
    if spoil:
        Manifest(spoil(Manifest.read(data).frame), tmp_path).write(data)
    ended = audit(data, *more)
    assert ended.code == 2
    assert line in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "found").exists()


def test_a_folder_in_use_and_a_manifest_that_is_not_there(audit, tmp_path):
    assert "nothing.csv: no such manifest" in audit("nothing.csv").err
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "mine.txt").touch()
    assert "found: exists and is not empty; choose another --out" in audit(save_set(tmp_path)).err


def test_names_of_files_do_not_command_the_terminal(audit, tmp_path):
    def hostile(image, name, defective):
        return image, f"\x1b[31m\n{name}", {}

    data = save_set(tmp_path, hostile)
    bad = "\x1b[31m\n3.png"
    (tmp_path / bad).write_bytes(b"")
    ended = audit(data, "--skip-bad")
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert r"\x1b[31m\n3.png" in ended.out


@pytest.fixture
def tested_and_templates(shared_data, tmp_path):
    """DeepPCB's tested images as Defective, its templates as NonDefective; some of three boards."""
    rows = []
    for board in ("00041", "13000", "20085"):
        folder = shared_data / "deeppcb" / "PCBData" / f"group{board}" / board
        for tested in sorted(folder.glob("*_test.jpg"))[:10]:
            template = tested.with_name(tested.name.replace("_test", "_temp"))
            for path, label in zip((template, tested), LABELS, strict=True):
                rows.append({"path": str(path), "label": label, "group": board})
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    return tmp_path / "m.csv"


@pytest.mark.shared
def test_deeppcb_tested_against_templates_fails(audit, tmp_path, tested_and_templates):
    assert audit(tested_and_templates).code == 1
    assert {"grey levels of the file", "JPEG quantisation tables"} <= failed(tmp_path)
    assert cue(tmp_path, "grey levels of the file")["auroc"] == 1


@pytest.mark.shared
@pytest.mark.slow
def test_deeppcb_tiles_pass(audit, ssl_pcb_cli, shared_data, tmp_path):
    part = tmp_path / "PCBData"
    for board in ("00041", "12300", "13000", "20085"):
        folder = shared_data / "deeppcb" / "PCBData" / f"group{board}"
        (part / folder.name / board).mkdir(parents=True)
        (part / folder.name / f"{board}_not").symlink_to(folder / f"{board}_not")
        for tested in sorted((folder / board).glob("*_test.jpg"))[:20]:
            (part / folder.name / board / tested.name).symlink_to(tested)
    assert ssl_pcb_cli("data", "import", "deeppcb", part, "tiles.csv").code == 0
    assert audit("tiles.csv").code == 0
    assert cue(tmp_path, "place")["low"] > 0.6


@pytest.mark.shared
@pytest.mark.slow
def test_the_solder_set_fails(audit, ssl_pcb_cli, shared_data, tmp_path):
    words = "normal=NonDefective,*=Defective"
    assert (
        ssl_pcb_cli("data", "import", "folder", shared_data / "solder_ulger", "m.csv", "--label-map", words).code == 0
    )
    assert audit("m.csv", "--samples", 1000).code == 1
    assert {"elongation", "file ending", "format", "area"} <= failed(tmp_path)
    assert cue(tmp_path, "elongation")["auroc"] > 0.95
