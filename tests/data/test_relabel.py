"""Corrections of labels: what they change, what they keep, and what is refused whole."""

import json

import numpy as np
import pandas as pd
import pytest

from ssl_pcb.data.corrections import corrections_of, read_corrections
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.relabel import relabel
from ssl_pcb.errors import UserError

ROWS = [
    {"path": "a.png", "label": "Defective", "crop": "0 0 64 64", "boxes": "1 1 9 9", "operator": "Zoë"},
    {"path": "a.png", "label": "NonDefective", "crop": "64 0 128 64"},
    {"path": "b.png", "label": "", "split": "train"},
    {"path": "=cmd|' /C'!A0.png", "label": "NonDefective"},
]


@pytest.fixture
def manifest(tmp_path):
    return Manifest.build(ROWS, tmp_path)


def corrected(manifest, rows, by="Ana", at="2026-11-26T15:00:00+00:00"):
    return relabel(manifest, "m.csv", pd.DataFrame(rows), "c.csv", by, at)


def test_labels_change_and_the_old_ones_are_kept(manifest):
    done = corrected(manifest, [
        {"row": "0", "label": "NonDefective", "note": "a hair"}, {"row": "2", "label": "Defective", "note": ""},
        {"row": "1", "label": "NonDefective", "note": "seen"}, {"row": "3", "label": "", "note": ""},
    ])  # fmt: skip
    frame = done.manifest.frame
    assert frame["label"].tolist() == ["NonDefective", "NonDefective", "Defective", ""]
    assert frame["label_before"].tolist() == ["Defective", "", "", "NonDefective"]
    assert frame["relabelled_by"].tolist() == ["Ana", "", "Ana", "Ana"]
    assert frame["relabelled_at"].tolist() == ["2026-11-26T15:00:00+00:00", "", *["2026-11-26T15:00:00+00:00"] * 2]
    assert frame["relabel_note"].tolist() == ["a hair", "", "", ""]
    assert done.changes == {("Defective", "NonDefective"): 1, ("", "Defective"): 1, ("NonDefective", ""): 1}
    assert (done.confirmed, done.boxed) == (1, 1)


def test_nothing_else_changes(manifest):
    before = manifest.frame.copy()
    after = corrected(manifest, [{"row": "0", "label": "NonDefective"}]).manifest.frame
    others = [column for column in before.columns if column != "label"]
    pd.testing.assert_frame_equal(after[others], before[others])
    pd.testing.assert_frame_equal(manifest.frame, before)
    assert after["label"].tolist()[1:] == before["label"].tolist()[1:]


def test_further_corrections_keep_a_history_through_a_file(manifest, tmp_path):
    for number, label in enumerate(["NonDefective", "", "Defective"]):
        done = corrected(manifest, [{"row": "0", "label": label, "note": f'"{number}"; ä'}], f"p{number}", f"t{number}")
        done.manifest.write(tmp_path / "m.csv")
        manifest = Manifest.read(tmp_path / "m.csv")
    row = manifest.frame.iloc[0]
    assert (row["label"], row["label_before"], row["relabelled_by"], row["relabelled_at"]) == (
        "Defective",
        "",
        "p2",
        "t2",
    )
    assert json.loads(row["label_history"]) == [
        {"label_before": "Defective", "label": "NonDefective", "by": "p0", "at": "t0", "note": '"0"; ä'},
        {"label_before": "NonDefective", "label": "", "by": "p1", "at": "t1", "note": '"1"; ä'},
    ]
    assert manifest.frame["label_history"][1] == ""


@pytest.mark.parametrize("named", [
    {"path": "a.png", "crop": "64 0 128 64"}, {"path": "./x/../a.png", "crop": "64 0 128 64"},
    {"path": "a.png", "crop": "64 0 128 64", "row": "1"}, {"row": " 1 "},
    {"path": "a.png", "crop": "64 0 128 64", "row": ""},
], ids=str)  # fmt: skip
def test_a_sample_can_be_named_by_row_or_by_path_and_crop(manifest, named):
    done = corrected(manifest, [named | {"label": "Defective"}])
    assert done.manifest.frame["label"].tolist() == ["Defective", "Defective", "", "NonDefective"]


def test_a_path_alone_is_enough_where_it_names_one_sample(manifest):
    name = ROWS[3]["path"]
    assert corrected(manifest, [{"path": name, "label": "Defective"}]).manifest.frame["label"][3] == "Defective"


def test_the_same_decision_twice_is_one(manifest):
    done = corrected(manifest, [{"row": "1", "label": "Defective"}, {"row": "1", "label": "Defective"}])
    assert done.changes == {("NonDefective", "Defective"): 1}


@pytest.mark.parametrize(("rows", "line"), [
    ([{"row": "4", "label": ""}], "c.csv: line 2: m.csv has no row '4'; its 4 rows count from 0"),
    ([{"row": "1", "label": ""}, {"row": "-1", "label": ""}], "c.csv: line 3: m.csv has no row '-1'"),
    ([{"row": "1.0", "label": ""}], "no row '1.0'"),
    ([{"row": "²", "label": ""}], "no row '²'"),
    ([{"path": "c.png", "label": ""}], "m.csv has no sample 'c.png'"),
    ([{"path": "a.png", "crop": "0 0 9 9", "label": ""}], "m.csv has no sample 'a.png' at 0 0 9 9"),
    ([{"path": "a.png", "label": ""}], "2 samples of m.csv are 'a.png'; add column 'row' or 'crop'"),
    ([{"row": "2", "path": "a.png", "label": ""}], "row 2 of m.csv is not 'a.png'"),
    ([{"row": "", "path": "", "label": ""}], "names no sample"),
    ([{"row": "0", "label": "NG"}], "label 'NG' is not one of NonDefective, Defective or empty"),
    ([{"row": "0", "label": "Defective"}, {"path": "a.png", "crop": "0 0 64 64", "label": ""}],
     "c.csv: line 3 gives row 0 the label '', and an earlier line gives it 'Defective'"),
    ([{"row": "0", "label": "", "label_before": "NonDefective"}],
     "is about label 'NonDefective', and row 0 of m.csv now has 'Defective'"),
    ([{"row": "0", "label": "Defective", "label_before": ""}], "is about label ''"),
])  # fmt: skip
def test_what_is_refused(manifest, rows, line):
    frame = pd.DataFrame(rows).fillna("")
    with pytest.raises(UserError) as refused:
        corrected(manifest, frame)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_history_that_somebody_broke_is_refused(manifest):
    frame = corrected(manifest, [{"row": "0", "label": ""}]).manifest.frame.assign(label_history="{")
    with pytest.raises(UserError, match="row 0, column 'label_history' is not the JSON list"):
        corrected(Manifest.build(frame, manifest.root), [{"row": "0", "label": "Defective"}])


@pytest.mark.parametrize("text", ["row|label\n1|Defective\n", "path,crop\na.png,\n", "label\nDefective\n", ""])
def test_a_table_without_the_columns_is_refused(tmp_path, text):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(UserError, match=r"c\.csv: (needs the columns|not a readable table)"):
        read_corrections(tmp_path / "c.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_spreadsheets_are_read(tmp_path, separator):
    """Where the comma is a decimal one, spreadsheets separate by semicolons."""
    table = '\ufeffrow,label,note\r\n007,Defective,"NA, ü"\r\n'.replace(",", separator).replace(f"NA{separator}", "NA,")
    (tmp_path / "c.csv").write_bytes(table.encode())
    assert read_corrections(tmp_path / "c.csv").to_dict("records") == [
        {"row": "007", "label": "Defective", "note": "NA, ü"}
    ]


def test_a_table_to_be_edited_names_its_samples_changes_nothing_and_holds_no_formula(manifest, tmp_path):
    corrections_of(manifest, np.arange(4)).to_csv(tmp_path / "c.csv", index=False)
    table = read_corrections(tmp_path / "c.csv")
    done = relabel(manifest, "m.csv", table, "c.csv", "Ana", "now")
    assert (done.changes, done.confirmed) == ({}, 4)
    assert not [path for path in table["path"] if path[0] in "=+-@"]
    by_path = table.drop(columns="row").assign(label="Defective")
    assert relabel(manifest, "m.csv", by_path, "c.csv", "Ana", "now").manifest.frame["label"].eq("Defective").all()


def written(path, text):
    path.write_text(text)
    return path


def test_from_the_command_line(ssl_pcb_cli, manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "zoe")
    manifest.write(tmp_path / "m.csv")
    corrections = written(tmp_path / "c.csv", "row,label\n1,Defective\n0,Defective\n")
    ended = ssl_pcb_cli("data", "relabel", tmp_path / "m.csv", corrections, "--out", tmp_path / "sub" / "new.csv")
    assert ended.code == 0, ended.err
    assert "1 labels changed, 1 samples keep theirs" in ended.out
    assert "1 from NonDefective to Defective" in ended.out
    new = Manifest.read(tmp_path / "sub" / "new.csv")
    assert new.frame["relabelled_by"].tolist() == ["", "zoe", "", ""]
    assert pd.Timestamp(new.frame["relabelled_at"][1]).tzinfo is not None
    assert new.sample(0).path == tmp_path / "a.png"
    assert Manifest.read(tmp_path / "m.csv").frame["label"][1] == "NonDefective"


@pytest.mark.parametrize(("text", "flags", "line"), [
    ("row,label\n1,Defective\n9,Defective\n", (), "has no row '9'"),
    ("row,label\n1,Defective\n", ("--by", " "), "--by: must name who decided"),
    (None, (), "no such file of corrections"),
])  # fmt: skip
def test_refused_whole(ssl_pcb_cli, manifest, tmp_path, text, flags, line):
    manifest.write(tmp_path / "m.csv")
    corrections = tmp_path / "c.csv" if text is None else written(tmp_path / "c.csv", text)
    before = {file.name for file in tmp_path.iterdir()}
    ended = ssl_pcb_cli("data", "relabel", tmp_path / "m.csv", corrections, "--out", tmp_path / "n.csv", *flags)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert line in ended.err
    assert {file.name for file in tmp_path.iterdir()} == before


def test_an_existing_manifest_is_not_written_over(ssl_pcb_cli, manifest, tmp_path):
    manifest.write(tmp_path / "m.csv")
    corrections = written(tmp_path / "c.csv", "row,label\n1,Defective\n")
    ended = ssl_pcb_cli("data", "relabel", tmp_path / "m.csv", corrections, "--out", tmp_path / "m.csv")
    assert ended.code == 2
    assert "m.csv: exists" in ended.err
    assert Manifest.read(tmp_path / "m.csv").frame["label"][1] == "NonDefective"


def test_names_of_files_cannot_reach_the_terminal(ssl_pcb_cli, manifest, tmp_path):
    manifest.write(tmp_path / "m.csv")
    corrections = written(tmp_path / "c.csv", 'path,label\n"\x1b[2J\na.png",Defective\n')
    ended = ssl_pcb_cli("data", "relabel", tmp_path / "m.csv", corrections, "--out", tmp_path / "n.csv")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "\x1b" not in ended.err
