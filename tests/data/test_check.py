import numpy as np
from PIL import Image

from ssl_pcb.data.check import check_manifest
from ssl_pcb.data.manifest import Manifest

RNG = np.random.default_rng(0)


def picture(path, shape=(20, 30)):
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(path)


def test_a_sound_manifest_is_ok_and_counted(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", (20, 30, 3))
    rows = [
        {"path": "a.png", "label": "Defective", "group": "x", "crop": "0 0 15 20", "boxes": "1 2 11 7"},
        {"path": "a.png", "label": "NonDefective", "group": "x", "crop": "15 0 30 20"},
        {"path": "b.png", "group": "y"},
    ]
    calls = []
    report = check_manifest(Manifest.build(rows, tmp_path), progress=lambda: calls.append(1))
    assert report.ok
    assert len(calls) == 2
    text = "\n".join(report.lines())
    for words in ("3 of 2 files, 2 readable", "30x20 (2)", "unlabelled (1)", "1 (1)", "median longer side 10 px"):
        assert words in text


def test_golden_images_are_checked_too(tmp_path):
    for name in ("a", "b", "c", "golden"):
        picture(tmp_path / f"{name}.png")
    picture(tmp_path / "small.png", (10, 30))
    named = {"a": "golden.png", "b": "small.png", "c": "missing.png", "d": ""}
    picture(tmp_path / "d.png")
    rows = [{"path": f"{name}.png", "reference": golden} for name, golden in named.items()]
    report = check_manifest(Manifest.build(rows, tmp_path))
    wrong, unequal = report.faults
    assert wrong.startswith(f"{tmp_path / 'missing.png'}: no such")
    assert unequal.startswith(f"{tmp_path / 'small.png'}: row 2, a golden image of 30 x 10 pixels for one of 30 x 20;")
    text = "\n".join(report.facts)
    assert "golden images: 3; rows that name none: 1" in text
    assert "samples: 4 of 4 files, 4 readable" in text
    assert "sizes: 30x20 (4)" in text


def test_every_fault_is_listed(tmp_path):
    for name in ("good", "cut", "bomb"):
        picture(tmp_path / f"{name}.png", (60, 60) if name == "bomb" else (20, 30))
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    names = ("missing", "cut", "empty", "text", "bomb")
    rows = [{"path": f"{name}.png"} for name in names]
    rows += [{"path": "good.png", "crop": "20 0 31 10"}, {"path": "good.png", "boxes": "40 40 50 50"}]
    report = check_manifest(Manifest.build(rows, tmp_path), max_pixels=1000)
    assert not report.ok
    assert len(report.faults) == len(rows)
    for name in names:
        assert sum(f"{name}.png: " in fault for fault in report.faults) == 1
    assert any("row 6, crop 20 0 31 10" in fault for fault in report.faults)
    assert any("row 7, box 40 40 50 50" in fault for fault in report.faults)


def test_copies_across_splits_are_a_fault_and_within_one_a_fact(tmp_path):
    picture(tmp_path / "a.png")
    for name in "bc":
        (tmp_path / f"{name}.png").write_bytes((tmp_path / "a.png").read_bytes())
    rows = [{"path": f"{name}.png", "split": "train"} for name in "abc"]
    report = check_manifest(Manifest.build(rows, tmp_path))
    assert report.ok
    assert "exact copies of another file: 2" in report.lines()
    rows[2]["split"] = "test"
    report = check_manifest(Manifest.build(rows, tmp_path))
    assert len(report.faults) == 1
    assert "test and train" in report.faults[0]


def test_copies_in_train_and_holdout_are_a_fault_that_names_the_mend(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    rows = [{"path": "a.png", "group": "x", "split": "train"}, {"path": "b.png", "group": "x", "split": "holdout"}]
    (fault,) = check_manifest(Manifest.build(rows, tmp_path)).faults
    assert fault.startswith(f"{tmp_path / 'a.png'}: exact copies are in holdout and train: {tmp_path / 'b.png'}")
    assert "keep one of them" in fault
