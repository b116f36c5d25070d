import numpy as np
import pytest

from ssl_pcb.data.importers import ImportOptions, import_dataset
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.splits import split_manifest
from ssl_pcb.data.tiles import TileRules, count_only_cut, cut_tiles
from ssl_pcb.errors import UserError

TEXTURE = np.random.default_rng(0).integers(0, 256, (100, 150, 1), dtype=np.uint8)
RULES = TileRules(tile=50)


def test_tiles_are_labelled_by_the_share_of_a_box():
    # 30 x 10 pixels, two thirds in the first tile and one third in the second, and one box all in the fifth
    boxes = [(30.0, 10.0, 60.0, 20.0), (60.0, 60.0, 70.0, 70.0)]
    result = cut_tiles(TEXTURE, boxes, RULES)
    assert {tile.crop: tile.defective for tile in result.kept} == {
        (0, 0, 50, 50): True,
        (100, 0, 150, 50): False,
        (0, 50, 50, 100): False,
        (50, 50, 100, 100): True,
        (100, 50, 150, 100): False,
    }
    assert result.dropped == {"partial": 1}
    assert result.unreached == []
    assert [tile.touching for tile in result.kept if tile.defective] == [[0], [1]]


def test_a_box_in_a_corner_of_four_tiles_is_unreached():
    result = cut_tiles(TEXTURE, [(45.0, 45.0, 55.0, 55.0)], RULES)
    assert result.dropped == {"partial": 4}
    assert result.unreached == [0]


def test_blank_tiles_are_dropped_even_with_a_defect_and_partial_is_judged_first():
    flat = np.full((50, 100, 1), 77, np.uint8)
    result = cut_tiles(flat, [(5.0, 5.0, 9.0, 9.0), (45.0, 20.0, 95.0, 30.0)], RULES)
    assert result.kept == []
    assert result.dropped == {"blank": 2}
    assert result.unreached == [0, 1]
    assert cut_tiles(flat, [(-30.0, 5.0, 20.0, 9.0)], RULES).dropped == {"partial": 1, "blank": 1}


def test_overlap_reaches_boxes_that_plain_tiles_cut():
    box = [(45.0, 45.0, 55.0, 55.0)]
    assert cut_tiles(TEXTURE, box, TileRules(tile=50, overlap=25)).unreached == []


@pytest.mark.parametrize("wrong", [{"min_box_share": 0}, {"min_box_share": 1.5}, {"blank_std": -1}, {"overlap": 128}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(UserError):
        TileRules(**wrong)


@pytest.mark.shared
@pytest.mark.slow
def test_deeppcb_gives_the_published_counts(shared_data, tmp_path):
    out = tmp_path / "m.csv"
    summary = import_dataset("deeppcb", shared_data / "deeppcb", out, ImportOptions())
    boards = {
        "train": ["00041", "13000", "20085"],
        "val": ["12000", "12300"],
        "test": ["44000", "77000", "92000"],
    }
    manifest = split_manifest(Manifest.read(out), assign=boards)
    counts = {
        split: manifest.split(*names).frame["label"].value_counts().to_dict()
        for split, names in {"train": ("train", "holdout"), "val": ("val",), "test": ("test",)}.items()
    }
    assert counts == {
        "train": {"Defective": 4531, "NonDefective": 8724},
        "val": {"Defective": 626, "NonDefective": 1761},
        "test": {"Defective": 1683, "NonDefective": 4022},
    }
    test_files = {path.split("/")[-1] for path in manifest.split("test").frame["path"]}
    assert sum(name.split(":")[0] in test_files for name in summary.unreached) == 86
    cut, positive = count_only_cut(manifest.split("test"))
    assert round(100 * cut / positive) == 45
    train_images = manifest.split("train", "holdout").frame["path"].nunique()
    assert manifest.split("holdout").frame["path"].nunique() == round(train_images / 10)
    assert manifest.board_disjoint
