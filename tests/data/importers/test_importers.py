import json
import math
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
        "Filename,Class,board,split,boxes,types\n"
        "img/a.png,NG,p1,train,1 2 10 12;20 20 30 30,spur;short\n"
        "img/b.png,OK,p1,train,,\nimg/c.png,,p2,test,,\n"
    )
    words = {"OK": "NonDefective", "NG": "Defective"}
    _, manifest = run("table", table, tmp_path / "m.csv", label_map=words, group_from="board")
    assert [s.label for s in manifest] == [1, 0, -1]
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
    _, mapped = run(kind, source, tmp_path / "m.csv", label_map={"spur": "NonDefective"})
    assert [s.label for s in mapped] == [0, 0]


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
