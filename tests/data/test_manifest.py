"""The manifest: what it reads and writes, and what it refuses, naming the row."""

from pathlib import Path

import pandas as pd
import pytest

from ssl_pcb.data.manifest import Manifest, format_boxes, parse_boxes
from ssl_pcb.errors import UserError

ROWS = [
    {"path": "a/1.png", "label": "Defective", "group": "b1", "split": "train", "crop": "0 0 64 64",
     "boxes": "1 2 3.5 4;10 10 20 20", "types": "open;spur", "operator": "Zoë, \"night\""},
    {"path": "a/2 ü.png", "label": "NonDefective", "group": "b1", "split": "holdout"},
    {"path": "c.png", "group": "b2", "split": "val"},
    {"path": "d.png", "label": "NonDefective", "group": "007"},
]  # fmt: skip


def refusal(*rows):
    with pytest.raises(UserError) as refused:
        Manifest.build([{"path": "ok.png"}, *rows], root=Path("m"), source="m.csv")
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_round_trip(tmp_path, name):
    manifest = Manifest.build(ROWS, tmp_path)
    manifest.write(tmp_path / name)
    again = Manifest.read(tmp_path / name)
    pd.testing.assert_frame_equal(again.frame, manifest.frame, check_dtype=False)
    assert list(again) == list(manifest)
    assert again.frame["operator"][0] == 'Zoë, "night"'
    assert again.sample(3).group == "007"
    assert not list(tmp_path.glob("*.part"))


def test_a_row_becomes_a_sample(tmp_path):
    first, second, third, _ = Manifest.build(ROWS, tmp_path)
    assert (first.label, second.label, third.label) == (1, 0, -1)
    assert first.crop == (0, 0, 64, 64)
    assert second.crop is None
    assert first.boxes == [(1, 2, 3.5, 4), (10, 10, 20, 20)]
    assert first.types == ["open", "spur"]
    assert first.path == tmp_path / "a" / "1.png"


def test_paths_still_point_at_the_files_when_written_elsewhere(tmp_path):
    manifest = Manifest.build(ROWS, tmp_path)
    for target in (tmp_path / "sub" / "m.csv", tmp_path / "m.csv"):
        manifest.write(target)
        assert [s.path.resolve() for s in Manifest.read(target)] == [s.path.resolve() for s in manifest]


def test_splits_and_selection(tmp_path):
    manifest = Manifest.build(ROWS, tmp_path)
    assert manifest.split("train", "holdout").frame["path"].tolist() == ["a/1.png", "a/2 ü.png"]
    assert [sample.index for sample in manifest.split("val")] == [0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": "NG"}, "row 2, label 'NG' is not one of NonDefective, Defective or empty"),
        ({"label": "defective"}, "row 2, label 'defective'"),
        ({"split": "valid"}, "row 2, split 'valid' is not one of train, holdout, val, test"),
        ({"crop": "1 2 3"}, "row 2, crop '1 2 3'"),
        ({"crop": "0 0 4 4;4 4 8 8"}, "row 2, crop '0 0 4 4;4 4 8 8' must be one box"),
        ({"crop": "4 0 4 9"}, "row 2, crop '4 0 4 9'"),
        ({"crop": "0 0 inf inf"}, "row 2, crop '0 0 inf inf'"),
        ({"boxes": "1,2,3,4"}, "row 2, boxes '1,2,3,4'"),
        ({"boxes": "9 9 1 1"}, "row 2, boxes '9 9 1 1'"),
        ({"boxes": "1 1 nan 9"}, "row 2, boxes '1 1 nan 9'"),
        ({"boxes": "1 1 2 2;"}, "row 2, boxes '1 1 2 2;'"),
        ({"boxes": "1 1 2 2", "types": "open;short"}, "row 2 must have as many types as boxes"),
        ({"types": "open"}, "row 2 must have as many types as boxes"),
    ],
)
def test_a_bad_line_is_refused_and_its_row_named(row, said):
    assert refusal({"path": "x.png"} | row).startswith(f"m.csv: {said}")


def test_one_group_in_two_splits_is_refused():
    line = refusal({"path": "x", "group": "g7", "split": "train"}, {"path": "y", "group": "g7", "split": "test"})
    assert "group 'g7' is in two splits (test, train)" in line
    line = refusal({"path": "x", "group": "~1", "split": "holdout"}, {"path": "y", "group": "~1", "split": "val"})
    assert "group '~1'" in line


def test_holdout_and_unsplit_rows_share_a_board_with_training(tmp_path):
    rows = [{"path": f"{split}.png", "group": "g", "split": split} for split in ("train", "holdout", "")]
    assert len(Manifest.build(rows, tmp_path)) == 3


def test_rows_without_a_group_may_be_anywhere(tmp_path):
    manifest = Manifest.build([{"path": "x", "split": "train"}, {"path": "y", "split": "test"}], tmp_path)
    assert not manifest.board_disjoint


def test_only_real_boards_are_board_disjoint(tmp_path):
    def of(*groups):
        return Manifest.build([{"path": f"{i}", "group": g} for i, g in enumerate(groups)], tmp_path).board_disjoint

    assert of("b1", "b2")
    assert not of("b1", "~near-7")
    assert not of("b1", "")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "no such manifest"),
        ("m.txt", b"path\nx.png\n", "a .csv or .parquet file"),
        ("m.csv", b"", "not a readable manifest"),
        ("m.csv", b"\xff\xfe\x00\x01", "not a readable manifest"),
        ("m.csv", b'path\n"x\n', "not a readable manifest"),
        ("m.csv", b"file,label\nx.png,\n", "no 'path' column (found: file, label)"),
        ("m.parquet", b"path\nx.png\n", "not a readable manifest"),
    ],
)
def test_a_file_that_is_no_manifest(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refused:
        Manifest.read(tmp_path / name)
    assert str(refused.value).startswith(str(tmp_path / name))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("target", ["taken.csv", "file/m.csv", "m.txt"])
def test_a_manifest_that_cannot_be_written(tmp_path, target):
    (tmp_path / "taken.csv").mkdir()
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(UserError) as refused:
        Manifest.build(ROWS, tmp_path).write(tmp_path / target)
    assert str(refused.value).startswith(str(tmp_path / target))
    assert not list(tmp_path.glob("*.part"))


def test_boxes_text_round_trip():
    text = "0 0 12 13.5;100 200 300 400"
    assert format_boxes(parse_boxes(text)) == text
    assert parse_boxes(" ") == []


def test_large_coordinates_keep_their_pixels():
    """Panels are 16k wide and more; a coordinate must not be rounded to six digits."""
    boxes = [(12345.25, 0.0, 1234567.0, 16384.5)]
    assert parse_boxes(format_boxes(boxes)) == boxes


@pytest.mark.parametrize("sides", [("train", "test"), ("train", "holdout"), ("val", "test")])
@pytest.mark.parametrize("spelling", ["a/x.png", "./a/../a/x.png"])
@pytest.mark.parametrize("group", ["", "b1"])
def test_one_image_in_two_splits_is_refused(sides, spelling, group):
    rows = [{"path": path, "split": split} for path, split in zip(("a/x.png", spelling), sides, strict=True)]
    if group and sides == ("train", "holdout"):  # other pairs are refused for the group
        rows = [row | {"group": group} for row in rows]
    line = refusal(*rows)
    assert f"x.png' is in two splits ({', '.join(sorted(sides))})" in line
    assert "ssl-pcb data split" in line


def test_one_image_in_one_split_may_have_unsplit_rows(tmp_path):
    rows = [{"path": "x.png", "split": split} for split in ("val", "val", "")]
    assert len(Manifest.build(rows, tmp_path)) == 3


def test_a_faulty_split_can_be_left_out_in_reading(tmp_path):
    text = "path,group,split\nx.png,g,train\ny.png,g,test\nz.png,h,valid\n"
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError):
        Manifest.read(tmp_path / "m.csv")
    frame = Manifest.read(tmp_path / "m.csv", ignore_splits=True).frame
    assert frame["split"].tolist() == ["", "", ""]
    assert frame["group"].tolist() == ["g", "g", "h"]


def test_parquet_columns_of_any_kind_with_missing_values(tmp_path):
    frame = pd.DataFrame(
        {
            "path": ["x.png", "y.png"],
            "label": pd.Categorical(["Defective", None]),
            "group": pd.array(["b1", None], dtype="string"),
            "line": pd.array([7, None], dtype="Int64"),
        }
    )
    frame.to_parquet(tmp_path / "m.parquet")
    read = Manifest.read(tmp_path / "m.parquet").frame
    assert read[["label", "group", "line"]].to_numpy().tolist() == [["Defective", "b1", "7"], ["", "", ""]]
