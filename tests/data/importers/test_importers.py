import json
import math
import re
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from ssl_pcb.data.importers import KINDS, ImportOptions, import_dataset
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import decode

RNG = np.random.default_rng(0)


def picture(path: Path, size: tuple[int, int] = (80, 60), orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RNG.integers(0, 256, size[::-1], dtype=np.uint8)).save(path, exif=exif)
    return path


def run(kind: str, src: Path, out: Path, **options):
    summary = import_dataset(kind, src, out, ImportOptions(**{"overwrite": True} | options))
    return summary, Manifest.read(out)


def refused(kind: str, src: Path, match: str, **options) -> None:
    out = src.parent / "refused.csv"
    with pytest.raises(UserError, match=match) as caught:
        run(kind, src, out, **options)
    assert "\n" not in str(caught.value)
    assert not list(out.parent.glob("refused*"))


# DeepPCB


@pytest.fixture
def deeppcb(tmp_path):
    for board, images in (("00041", 2), ("12000", 1)):
        folder = tmp_path / "src" / "PCBData" / f"group{board}"
        for number in range(images):
            for kind in ("test", "temp"):
                picture(folder / board / f"{board}{number}_{kind}.jpg", (128, 128))
            boxes = folder / f"{board}_not" / f"{board}{number}.txt"
            boxes.parent.mkdir(exist_ok=True)
            boxes.write_text("10 10 40 40 1\n70,70,90,90,6")  # no newline at the end
    picture(folder / "12000" / "stray_test.jpg", (128, 128))
    picture(folder / "12000" / "alone_temp.jpg", (128, 128))
    (folder / "12000_not" / "ghost.txt").write_text("1 1 2 2 1")
    return tmp_path / "src"


def test_deeppcb_takes_tested_images_only_and_counts_what_is_unpaired(deeppcb, tmp_path):
    summary, manifest = run("deeppcb", deeppcb, tmp_path / "m.csv", tile=64)
    assert len(manifest) == 3 * 4
    assert manifest.frame["path"].str.endswith("_test.jpg").all()
    assert sorted(set(manifest.frame["group"])) == ["00041", "12000"]
    first = manifest.sample(0)
    assert (first.label, first.crop, first.boxes, first.types) == (1, (0, 0, 64, 64), [(10, 10, 40, 40)], ["open"])
    assert [s.types for s in manifest if s.label == 1][1] == ["pin-hole"]
    assert manifest.board_disjoint
    golden = manifest.frame["path"].str.replace("_test.jpg", "_temp.jpg")
    assert manifest.frame["reference"].eq(golden).all()
    assert "3 unpaired files left out: ghost.txt, stray_test.jpg, alone_temp.jpg" in summary.notes[0]
    assert summary.boxes == 6
    assert json.dumps(summary.to_dict())


def test_deeppcb_templates_warn_and_stay_with_their_image(deeppcb, tmp_path):
    summary, manifest = run("deeppcb", deeppcb, tmp_path / "m.csv", tile=64, templates=True)
    assert len(manifest) == 6 * 4
    templates = manifest.frame[manifest.frame["path"].str.contains("_temp")]
    assert set(templates["label"]) == {"NonDefective"}
    assert manifest.frame.groupby("place")["path"].nunique().eq(2).all()
    assert any("WARNING" in line and "file format" in line for line in summary.lines())


def test_deeppcb_faults(deeppcb, tmp_path):
    refused("deeppcb", tmp_path / "nowhere", "nowhere: no such folder")
    refused("deeppcb", deeppcb / "PCBData" / "group00041", "no 'groupNNNNN")
    text = deeppcb / "PCBData" / "group00041" / "00041_not" / "000410.txt"
    text.write_text("1 2 3 4 1\n1 2 3 4 7\n")
    refused("deeppcb", deeppcb, r"000410\.txt: line 2 '1 2 3 4 7'")


# Class folders


def test_folders_give_labels_and_nested_paths(tmp_path):
    src = tmp_path / "src"
    for name in ("OK/a.png", "NG/x/b.png", "defective/c.bmp", "spare/d.tif"):
        picture(src / name)
    words = {"OK": "NonDefective", "NG": "defective", "spare": "unlabelled"}
    summary, manifest = run("folder", src, tmp_path / "m.parquet", label_map=words)
    found = {Path(s.path).name: s.label for s in manifest}
    assert found == {"a.png": 0, "b.png": 1, "c.bmp": 1, "d.tif": -1}
    assert manifest.frame["group"].str.startswith("~").all()
    assert any("not board-disjoint" in line for line in summary.lines())
    assert not Path(manifest.frame["path"][0]).is_absolute()  # below the manifest's folder


def test_folder_words_are_not_guessed(tmp_path):
    src = tmp_path / "src"
    picture(src / "good" / "a.png")
    refused("folder", src, r"good: label 'good'.*--label-map 'good=Defective'")
    refused("folder", src, "must map to", label_map={"good": "fine"})
    assert run("folder", src, tmp_path / "m.csv", label_map={"*": "unlabelled"})[1].sample(0).label == -1


def test_a_folder_without_class_folders_is_unlabelled(tmp_path):
    picture(tmp_path / "src" / "a.png")
    _, manifest = run("folder", tmp_path / "src", tmp_path / "m.csv")
    assert manifest.frame["label"].tolist() == [""]
    (tmp_path / "none").mkdir()
    refused("folder", tmp_path / "none", "no images found")


def test_groups_from_paths(tmp_path):
    src = tmp_path / "src"
    for name in ("OK/boardA/1.png", "OK/boardB/1.png", "NG/boardA/2.png"):
        picture(src / name)
    words = {"OK": "NonDefective", "NG": "Defective"}
    for rule in ("parent", r"/(board\w)/"):
        _, manifest = run("folder", src, tmp_path / "m.csv", label_map=words, group_from=rule)
        assert sorted(manifest.frame["group"]) == ["boardA", "boardA", "boardB"]
        assert manifest.board_disjoint
    refused("folder", src, "finds no board", label_map=words, group_from=r"(panel\d)")
    refused("folder", src, "one group in parentheses", label_map=words, group_from="board")
    refused("folder", src, "not a regular expression", label_map=words, group_from="(board")
    picture(src / "OK" / "3.png")
    refused("folder", src, "is its class, not its board", label_map=words, group_from="parent")


def test_folders_of_unlabelled_images_are_boards_if_asked(tmp_path):
    src = tmp_path / "src"
    for name in ("board1/1.png", "board1/2.png", "board2/1.png"):
        picture(src / name)
    refused("folder", src, r"'\*=unlabelled' if none is a label", group_from="parent")
    _, manifest = run("folder", src, tmp_path / "m.csv", label_map={"*": "unlabelled"}, group_from="parent")
    assert manifest.frame["group"].tolist() == ["board1", "board1", "board2"]
    assert set(manifest.frame["label"]) == {""}


def test_faint_tiles_are_kept_and_noise_is_blank(tmp_path):
    """Copper under a dark mask: three tiles of four whose deviation is 6 grey levels, noise of 2 everywhere."""
    grey = np.full((128, 128), 30.0)
    grey[:, ::2] += 12
    grey[:64, :64] = 30
    (tmp_path / "src").mkdir()
    Image.fromarray((grey + RNG.normal(0, 2, grey.shape)).round().astype(np.uint8)).save(tmp_path / "src" / "a.png")
    kept = {
        limit: len(run("folder", tmp_path / "src", tmp_path / "m.csv", tile=64, blank_std=limit)[1])
        for limit in (None, 0, 5)
    }
    assert kept == {None: 3, 0: 4, 5: 3}
    refused("folder", tmp_path / "src", "every tile was dropped", tile=64, blank_std=20)


def test_on_black_and_white_boards_faint_tiles_are_blank(deeppcb, tmp_path):
    faint = np.full((128, 128), 30, np.uint8)
    faint[:, ::2] += 12
    Image.fromarray(faint).save(next(deeppcb.rglob("120000_test.jpg")), quality=95)
    assert run("deeppcb", deeppcb, tmp_path / "m.csv")[0].dropped["blank"] == 1
    assert run("deeppcb", deeppcb, tmp_path / "m.csv", blank_std=4)[0].dropped["blank"] == 0


def test_bad_images_stop_the_import_or_are_counted(tmp_path):
    src = tmp_path / "src"
    picture(src / "a.png")
    (src / "b.png").touch()
    (src / "c.png").write_text("no image")
    refused("folder", src, r"b\.png: empty.*1 more.*--skip-bad")
    summary, manifest = run("folder", src, tmp_path / "m.csv", skip_bad=True)
    assert len(manifest) == 1
    assert len(summary.bad) == 2
    (src / "a.png").unlink()
    refused("folder", src, "none of 2 images can be read", skip_bad=True)


# Tables


def test_table_columns_pass_through(tmp_path):
    for name in "abc":
        picture(tmp_path / "img" / f"{name}.png")
    table = tmp_path / "t.csv"
    table.write_text(
        "Filename,Class,board,split,boxes,types,Reference\n"
        "img/a.png,NG,p1,train,1 2 10 12;20 20 30 30,spur;short,img/b.png\n"
        "img/b.png,OK,p1,train,,,\nimg/c.png,,p2,test,,,\n"
    )
    words = {"OK": "NonDefective", "NG": "Defective"}
    _, manifest = run("table", table, tmp_path / "m.csv", label_map=words, group_from="board")
    assert [s.label for s in manifest] == [1, 0, -1]
    assert manifest.frame["reference"].tolist() == ["img/b.png", "", ""]
    assert manifest.frame["group"].tolist() == ["p1", "p1", "p2"]
    assert manifest.frame["split"].tolist() == ["train", "train", "test"]
    assert manifest.sample(0).types == ["spur", "short"]
    assert manifest.sample(0).boxes == [(1, 2, 10, 12), (20, 20, 30, 30)]
    refused("table", table, r"row 1 \(img/a.png\): label 'NG'")
    picture(tmp_path / "img" / "a.png").unlink()
    refused("table", table, r"a\.png: no such image", label_map=words)


def test_table_faults(tmp_path):
    table = tmp_path / "t.csv"
    refused("table", table, "no such table")
    table.write_text("picture,label\nx.png,OK\n")
    refused("table", table, "has no column path")
    table.write_text("path,label\n")
    refused("table", table, "no images found")
    picture(tmp_path / "x.png")
    table.write_text("path,label,boxes\nx.png,Defective,1 2 3\n")
    refused("table", table, "boxes '1 2 3' is not")


# COCO, VOC, YOLO: the same two boxes, in all three formats


def write_coco(src: Path, images: dict[str, list], stated: tuple[int, int] | None = (80, 60)) -> Path:
    entries = [
        {"id": i, "file_name": name} | (dict(zip(("width", "height"), stated, strict=True)) if stated else {})
        for i, name in enumerate(images)
    ]
    boxes = [
        {"id": 1, "image_id": i, "category_id": 7, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for i, found in enumerate(images.values())
        for x1, y1, x2, y2 in found
    ]
    src.mkdir(parents=True, exist_ok=True)
    content = {"images": entries, "annotations": boxes, "categories": [{"id": 7, "name": "spur"}]}
    (src / "ann.json").write_text(json.dumps(content))
    return src / "ann.json"


def write_voc(src: Path, images: dict[str, list], stated: tuple[int, int] = (80, 60)) -> Path:
    for name, boxes in images.items():
        objects = "".join(
            f"<object><name>spur</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
            f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
            for x1, y1, x2, y2 in boxes
        )
        size = f"<size><width>{stated[0]}</width><height>{stated[1]}</height></size>"
        path = src / "Annotations" / f"{Path(name).stem}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<annotation><filename>{name}</filename>{size}{objects}</annotation>")
    return src


def write_yolo(src: Path, images: dict[str, list], stated: tuple[int, int] = (80, 60)) -> Path:
    width, height = stated
    for name, boxes in images.items():
        path = src / "labels" / f"{Path(name).stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(
                f"0 {(x1 + x2) / 2 / width} {(y1 + y2) / 2 / height} {(x2 - x1) / width} {(y2 - y1) / height}\n"
                for x1, y1, x2, y2 in boxes
            )
        )
    (src / "data.yaml").write_text("names: {0: spur}")
    return src


WRITERS = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}
BOX = (16, 8, 40, 24)


def near(found: list, expected: list) -> bool:
    return len(found) == len(expected) and all(
        math.isclose(a, b, abs_tol=1e-3)
        for f, e in zip(found, expected, strict=True)
        for a, b in zip(f, e, strict=True)
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_box_formats_agree(kind, tmp_path):
    src = tmp_path / "src"
    for name in ("a.png", "b.png"):
        picture(src / "images" / name)
    source = WRITERS[kind](src, {"a.png": [BOX, (60, 30, 79, 59)], "b.png": []})
    _, manifest = run(kind, source, tmp_path / "m.csv")
    first, second = manifest.sample(0), manifest.sample(1)
    assert (first.label, second.label) == (1, 0)
    assert near(first.boxes, [BOX, (60, 30, 79, 59)])
    assert first.types == ["spur", "spur"]
    assert second.boxes == []
    summary, tiles = run(kind, source, tmp_path / "t.csv", tile=40)
    assert [(s.crop, s.label) for s in tiles if s.path.name == "a.png"] == [((0, 0, 40, 40), 1), ((40, 20, 80, 60), 1)]
    assert [s.label for s in tiles if s.path.name == "b.png"] == [0, 0, 0, 0]
    assert summary.dropped == {"partial": 2}
    assert set(tiles.frame["untiled_boxes"]) == {""}
    _, mapped = run(kind, source, tmp_path / "m.csv", label_map={"spur": "NonDefective"})
    assert [s.label for s in mapped] == [0, 0]


def test_boxes_whose_tiles_are_all_dropped_are_kept_apart(tmp_path):
    src = tmp_path / "src"
    for name in ("a.png", "b.png", "c.png"):
        picture(src / name)
    quarters = (30, 10, 50, 30)  # half of it in each of two tiles
    over_all, blank = (20, 10, 60, 50), (45, 5, 55, 15)  # three eighths in each of four tiles; in one without contrast
    with Image.open(src / "a.png") as opened:
        plain = opened.copy()
    plain.paste(0, (40, 0, 80, 40))
    plain.save(src / "a.png")
    source = write_coco(src, {"a.png": [(5, 5, 15, 15), blank], "b.png": [quarters], "c.png": [over_all]})
    summary, tiles = run("coco", source, tmp_path / "m.csv", tile=40)
    untiled = {path.rpartition("/")[2]: set(cells) for path, cells in tiles.frame.groupby("path")["untiled_boxes"]}
    assert untiled == {"a.png": {"45 5 55 15"}, "b.png": {""}}
    assert "1 images keep no tile and are not in the manifest: c.png" in summary.notes


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", WRITERS)
def test_boxes_turn_along_with_exif(kind, orientation, tmp_path):
    """Stored boxes end on the marked pixels; boxes that already are upright stay."""
    src = tmp_path / "src"
    stored = np.zeros((60, 80), np.uint8)
    stored[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    (src / "images").mkdir(parents=True)
    Image.fromarray(stored).save(src / "images" / "a.png", exif=exif)
    rows, columns = np.nonzero(decode(src / "images" / "a.png")[..., 0])
    upright = tuple(map(int, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
    size = (60, 80) if orientation > 4 else (80, 60)
    source = WRITERS[kind](src, {"a.png": [BOX]}, stated=(80, 60))
    for frame in ("auto", "stored"):
        assert near(run(kind, source, tmp_path / "m.csv", box_frame=frame)[1].sample(0).boxes, [upright])
    source = WRITERS[kind](src, {"a.png": [upright]}, stated=size)
    certain = kind != "yolo" and orientation > 4  # the stated size tells
    for frame in ("auto", "upright") if certain else ("upright",):
        assert near(run(kind, source, tmp_path / "m.csv", box_frame=frame)[1].sample(0).boxes, [upright])


def test_missing_images_are_named(tmp_path):
    for kind in ("coco", "voc"):
        src = tmp_path / kind
        picture(src / "images" / "a.png")
        source = WRITERS[kind](src, {"a.png": [BOX], "gone.png": [BOX]})
        refused(kind, source, r"gone\.png: no such image")
        summary, manifest = run(kind, source, tmp_path / "m.csv", skip_bad=True)
        assert len(manifest) == len(summary.bad) == 1


def test_coco_faults(tmp_path):
    source = tmp_path / "x.json"
    for text, match in (
        ("{", "not JSON"),
        ("[]", "not COCO"),
        ('{"images": []}', "no images found"),
        ('{"images": [{"id": 1}]}', "not COCO"),
        ('{"images": [], "annotations": [{"id": 3, "image_id": 5, "category_id": 1}]}', "annotation 3 names image 5"),
    ):
        source.write_text(text)
        refused("coco", source, match)


def test_coco_file_names_do_not_lead_out_of_the_data_set(tmp_path):
    picture(tmp_path / "secret.png")
    source = write_coco(tmp_path / "deep" / "down" / "src", {"../../../secret.png": []})
    refused("coco", source, r"down/src/secret\.png: no such image")


def test_xml_entities_are_refused(tmp_path):
    src = tmp_path / "src"
    picture(src / "a.png")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'
    for encoding in ("utf-8", "utf-16"):
        (src / "a.xml").write_text(bomb, encoding=encoding)
        refused("voc", src, "document type")
    (src / "a.xml").write_text("<annotation>")
    refused("voc", src, r"a\.xml: not readable XML")
    (src / "a.xml").unlink()
    refused("voc", src, "no .xml annotations")


def test_voc_images_without_xml_stay_unlabelled(tmp_path):
    src = tmp_path / "src"
    for name in ("a.png", "b.png"):
        picture(src / "JPEGImages" / name)
    summary, manifest = run("voc", write_voc(src, {"a.png": [BOX]}), tmp_path / "m.csv")
    assert [s.label for s in manifest] == [1, -1]
    assert "b.png" in summary.notes[0]


def test_yolo_polygons_missing_labels_and_faults(tmp_path):
    src = tmp_path / "src"
    for name in ("a.png", "b.png"):
        picture(src / "images" / "train" / name)
    label = src / "labels" / "train" / "a.txt"
    label.parent.mkdir(parents=True)
    label.write_text("3 0.2 0.2 0.5 0.3 0.4 0.6\n")
    summary, manifest = run("yolo", src, tmp_path / "m.csv")
    assert near(manifest.sample(0).boxes, [(16, 12, 40, 36)])
    assert manifest.sample(0).types == ["3"]
    assert manifest.sample(1).label == 0
    assert "1 images have no label file" in summary.notes[0]
    for line in ("0 0.5 0.5 0.1", "0 0.5 0.5 0 0", "0 40 30 10 10", "a 0.5 0.5 0.1 0.1", "0 nan 0.5 0.1 0.1"):
        label.write_text(line)
        refused("yolo", src, r"a\.txt: line 1")
    label.unlink()
    refused("yolo", src, "no label files")


def test_boxes_outside_their_image_are_clipped_or_named(tmp_path):
    src = tmp_path / "src"
    picture(src / "images" / "a.png")
    summary, manifest = run(
        "coco", write_coco(src, {"a.png": [(70, 50, 90, 70), (200, 5, 210, 9)]}), tmp_path / "m.csv"
    )
    assert manifest.sample(0).boxes == [(70, 50, 80, 60)]
    assert any("200 5 210 9" in note for note in summary.notes)


def test_12_bit_images_are_tiled_at_their_depth(tmp_path):
    src = tmp_path / "src"
    (src / "images").mkdir(parents=True)
    deep = RNG.integers(0, 4096, (60, 80), dtype=np.uint16)
    (src / "images" / "a.png").write_bytes(imagecodecs.png_encode(deep))
    summary, manifest = run("coco", write_coco(src, {"a.png": [BOX]}), tmp_path / "m.csv", tile=40)
    assert summary.dropped == {"partial": 1}
    assert len(manifest) == 3  # at 16 bits every tile would be dark and so blank
    assert any("12 bits" in note for note in summary.notes)


def test_tiling_what_has_no_boxes(tmp_path):
    src = tmp_path / "src"
    picture(src / "NonDefective" / "a.png")
    _, manifest = run("folder", src, tmp_path / "m.csv", tile=40)
    assert [s.label for s in manifest] == [0, 0, 0, 0]
    picture(src / "Defective" / "b.png")
    refused("folder", src, r"b\.png: is Defective without boxes", tile=40)


def test_near_duplicates_are_one_group(tmp_path):
    src = tmp_path / "src"
    picture(src / "Defective" / "a.png")
    picture(src / "Defective" / "b.png")
    copy = src / "NonDefective" / "c.png"
    copy.parent.mkdir()
    copy.write_bytes((src / "Defective" / "a.png").read_bytes())
    _, manifest = run("folder", src, tmp_path / "m.csv", group_from="none")
    a, b, c = manifest.frame["group"]
    assert a == c != b


def test_general_faults(tmp_path):
    picture(tmp_path / "src" / "a.png")
    with pytest.raises(UserError, match=r"\.csv or \.parquet"):
        run("folder", tmp_path / "src", tmp_path / "m.txt")
    refused("folders", tmp_path / "src", "importer 'folders' is not one of")
    refused("folder", tmp_path / "src", "box frame", box_frame="sideways")
    refused("folder", tmp_path / "src", "every tile was dropped", tile=40, blank_std=127)
    for kind in KINDS:
        refused(kind, tmp_path / "nowhere", "nowhere: no such")


# What a review found


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_table_separators_and_a_single_column(tmp_path, separator):
    for name in ("pa,th.png", "b.png"):
        picture(tmp_path / name)
    table = tmp_path / "t.csv"
    table.write_text("\ufeffpath\nb.png\n", encoding="utf-8")
    assert len(run("table", table, tmp_path / "m.csv")[1]) == 1
    cells = [["path", "label", "boxes"], ['"pa,th.png"', "Defective", '"1 2 10 12;3 3 9 9"'], ["b.png"]]
    table.write_text("\n".join(separator.join(row) for row in cells))
    _, manifest = run("table", table, tmp_path / "m.csv")
    assert [(s.path.name, s.label, len(s.boxes)) for s in manifest] == [("pa,th.png", 1, 2), ("b.png", -1, 0)]


def test_table_rows_longer_than_the_header_are_refused_not_shifted(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    table = tmp_path / "t.csv"
    table.write_text("path,label\na.png,Defective,x\nb.png,NonDefective,y\n")
    refused("table", table, r"row 1 \(a\.png\) has 3 cells and the header 2; quote cells")
    table.write_text("path,label\na.png,Defective\nb.png,NonDefective,y\n")
    refused("table", table, r"row 2 \(b\.png\) has 3 cells")
    table.write_text("path,label\na.png,Defective,\nb.png,NonDefective,,\n")  # nothing is lost
    assert [s.label for s in run("table", table, tmp_path / "m.csv")[1]] == [1, 0]


def test_a_tables_leaking_splits_name_a_mend_that_works(tmp_path, ssl_pcb_cli):
    for number in range(6):
        picture(tmp_path / f"{number}.png")
    rows = [f"{number}.png,b{number // 2}" for number in range(6)]
    table, out = tmp_path / "t.csv", tmp_path / "m.csv"
    table.write_text(
        "path,board,split\n" + "".join(f"{row},{'train' if i % 2 else 'test'}\n" for i, row in enumerate(rows))
    )
    refused("table", table, r"t\.csv: group 'b0' is in two splits.*leave the column 'split' out", group_from="board")
    table.write_text("path,board\n" + "".join(f"{row}\n" for row in rows))
    run("table", table, out, group_from="board")
    assert ssl_pcb_cli("data", "split", out).code == 0
    frame = Manifest.read(out).frame.assign(split=["train", "test"] * 3)
    frame.to_csv(out, index=False)  # spoilt by hand: the mend that reading names must work too
    with pytest.raises(UserError, match="ssl-pcb data split"):
        Manifest.read(out)
    assert ssl_pcb_cli("data", "split", out).code == 0
    assert set(Manifest.read(out).frame["split"]) >= {"train", "val", "test"}


def write_types(kind: str, src: Path, images: dict[str, list[str]]) -> Path:
    """Images of 80 x 60 px with boxes of types at 4..12, 24..32, 44..52 px from the left."""
    place = {name: (4 + 20 * i, 4, 12 + 20 * i, 12) for names in images.values() for i, name in enumerate(names)}
    source = WRITERS[kind](src, {image: [place[name] for name in names] for image, names in images.items()})
    kinds = sorted(place)
    for image, names in images.items():
        picture(src / "images" / image)
        if kind == "voc":
            path = src / "Annotations" / f"{Path(image).stem}.xml"
            following = iter(names)
            path.write_text(re.sub(">spur<", lambda _: f">{next(following)}<", path.read_text()))  # noqa: B023
        elif kind == "yolo":
            path = src / "labels" / f"{Path(image).stem}.txt"
            lines = path.read_text().splitlines()
            path.write_text("".join(f"{kinds.index(n)}{line[1:]}\n" for n, line in zip(names, lines, strict=True)))
    if kind == "yolo":
        (src / "data.yaml").write_text(f"names: {json.dumps(kinds)}")
    if kind == "coco":
        content = json.loads(source.read_text())
        every = [name for names in images.values() for name in names]
        for annotation, name in zip(content["annotations"], every, strict=True):
            annotation["category_id"] = kinds.index(name)
        content["categories"] = [{"id": i, "name": name} for i, name in enumerate(kinds)]
        source.write_text(json.dumps(content))
    return source


@pytest.mark.parametrize("kind", WRITERS)
def test_types_outside_the_label_map_are_refused_with_type_and_file(kind, tmp_path):
    source = write_types(kind, tmp_path / "src", {"a.png": ["spur", "scratch"]})
    assert run(kind, source, tmp_path / "m.csv")[1].sample(0).types == ["spur", "scratch"]
    file = {"coco": r"ann\.json", "voc": r"a\.xml", "yolo": r"a\.txt"}[kind]
    refused(kind, source, rf"{file}.*'scratch' is not known.*--label-map", label_map={"spur": "Defective"})
    words = {"spur": "NonDefective", "*": "Defective"}
    assert run(kind, source, tmp_path / "m.csv", label_map=words)[1].sample(0).types == ["scratch"]


@pytest.mark.parametrize("kind", WRITERS)
def test_what_shows_only_unlabelled_types_is_unlabelled(kind, tmp_path):
    images = {"a.png": ["dust"], "b.png": ["dust", "spur"], "c.png": ["logo"], "d.png": []}
    source = write_types(kind, tmp_path / "src", images)
    words = {"dust": "unlabelled", "logo": "NonDefective", "spur": "Defective"}
    _, manifest = run(kind, source, tmp_path / "m.csv", label_map=words)
    assert [(s.label, s.types) for s in manifest] == [(-1, []), (1, ["spur"]), (0, []), (0, [])]
    _, tiles = run(kind, source, tmp_path / "m.csv", label_map=words, tile=20)  # 'dust' lies in the first tile
    found = {name: [s.label for s in tiles if s.path.name == name] for name in images}
    clean = [0] * 11
    assert found == {"a.png": [-1, *clean], "b.png": [-1, 1, *clean[1:]], "c.png": [0, *clean], "d.png": [0, *clean]}


def test_deeppcb_types_outside_the_label_map(deeppcb, tmp_path):
    refused("deeppcb", deeppcb, r"000410\.txt: label 'pin-hole' is not known", label_map={"open": "Defective"})
    words = {"open": "unlabelled", "*": "NonDefective"}
    _, manifest = run("deeppcb", deeppcb, tmp_path / "m.csv", label_map=words, tile=0)
    assert set(manifest.frame["label"]) == {""}


def test_coco_images_of_one_name_in_several_folders(tmp_path):
    base = tmp_path / "set"
    for folder in ("train", "val"):
        picture(base / folder / "a.png")
    source = write_coco(base / "annotations", {"a.png": [BOX]})
    both = rf"'a\.png': {base / 'train' / 'a.png'}, {base / 'val' / 'a.png'}; put those that are meant into"
    refused("coco", source, both)
    (base / "val" / "a.png").unlink()
    (base / "linked").symlink_to(base / "train")
    assert len(run("coco", source, tmp_path / "m.csv")[1]) == 1
    picture(base / "val" / "a.png")
    own = picture(base / "annotations" / "images" / "a.png")  # the mend that was named
    assert run("coco", source, tmp_path / "m.csv")[1].sample(0).path == own


def test_coco_takes_no_pictures_from_a_neighbours_data_set(tmp_path):
    source = write_coco(tmp_path / "mine", {"a.png": []})
    (tmp_path / "mine" / "a.png").unlink(missing_ok=True)
    (tmp_path / "mine" / "images" / "a.png").unlink(missing_ok=True)
    picture(tmp_path / "theirs" / "a.png")
    with pytest.raises(UserError, match=r"a\.png"):
        run("coco", source, tmp_path / "m.csv")


def test_a_label_map_without_a_label_column_is_refused(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("file,verdict\na.png,OK\n")
    with pytest.raises(UserError, match=r"no column label or class .*found: file, verdict"):
        run("table", tmp_path / "t.csv", tmp_path / "m.csv", label_map={"OK": "NonDefective"})


def test_coco_in_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    source = write_coco(tmp_path / "annotations", {"a.png": []})
    listed = Path.iterdir

    def iterdir(path):  # permissions do not bind the superuser, who may run this test
        if path == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", iterdir)
        with pytest.raises(UserError, match=rf"^{tmp_path}: cannot be read \(Permission denied\)") as caught:
            run("coco", source, tmp_path / "m.csv")
    assert str(source) in str(caught.value)


def test_an_existing_manifest_is_only_replaced_where_asked_for(tmp_path):
    picture(tmp_path / "src" / "a.png")
    out = tmp_path / "m.csv"
    out.write_text("mine")
    with pytest.raises(UserError, match=r"m\.csv: exists already; --overwrite"):
        run("folder", tmp_path / "src", out, overwrite=False)
    assert out.read_text() == "mine"
    assert len(run("folder", tmp_path / "src", out)[1]) == 1
    out.unlink()
    run("folder", tmp_path / "src", out, overwrite=False)


def test_a_record_that_cannot_be_written_is_a_fault_of_one_line(tmp_path):
    picture(tmp_path / "src" / "a.png")
    (tmp_path / "m.import.json").mkdir()
    with pytest.raises(UserError, match=r"m\.import\.json: cannot be written"):
        run("folder", tmp_path / "src", tmp_path / "m.csv")
    assert not list(tmp_path.glob("*.part"))


def test_files_of_other_types_are_counted(tmp_path):
    src = tmp_path / "src"
    for name in ("a.png", "b.heic", "c.HEIC", "notes.txt", ".hidden.txt", "README"):
        (src / "OK" / name).parent.mkdir(parents=True, exist_ok=True)
        (src / "OK" / name).touch()
    picture(src / "OK" / "a.png")
    summary, manifest = run("folder", src, tmp_path / "m.csv", label_map={"OK": "NonDefective"})
    assert len(manifest) == 1
    (note,) = summary.notes
    assert note.startswith("4 files")
    assert ".heic (2)" in note
    assert ".txt (1)" in note


def test_a_file_name_that_is_no_text_is_named_or_left_out(tmp_path):
    src = tmp_path / "src"
    picture(src / "a.png")
    try:
        picture(src / "bad\udcff.png")
    except OSError:
        pytest.skip("this file system takes no such name")
    refused("folder", src, r"bad.*: the file's name is not UTF-8 text; rename it.*--skip-bad")
    summary, manifest = run("folder", src, tmp_path / "m.csv", skip_bad=True)
    assert (len(manifest), len(summary.bad)) == (1, 1)


def test_file_names_send_no_codes_to_the_terminal(tmp_path, ssl_pcb_cli):
    evil = "a\x1b[31m\nok.png"
    picture(tmp_path / "src" / "b.png")
    (tmp_path / "src" / evil).write_text("no image")
    out = tmp_path / "m.csv"
    ended = ssl_pcb_cli("data", "import", "folder", tmp_path / "src", out, "--skip-bad")
    assert ended.code == 0, ended.err
    assert r"a\x1b[31m\nok.png" in ended.out
    assert "\x1b" not in ended.out
    Manifest.build([{"path": f"src/{evil}"}], tmp_path).write(out)
    ended = ssl_pcb_cli("data", "check", out)
    assert ended.code == 2
    assert r"a\x1b[31m\nok.png" in ended.out
    assert "\x1b" not in ended.out


def test_the_command_line_knows_the_kinds_without_loading_the_importers():
    code = "import sys; from ssl_pcb.cli.data import import_; print(*import_.params[0].type.choices); "
    code += "sys.exit('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(KINDS)
