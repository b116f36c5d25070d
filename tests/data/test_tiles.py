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


def naive_shares(box, crop, side):
    """Share of a box of whole pixels that lies in a crop, by counting."""
    inside = np.zeros((2, side, side), bool)
    for mask, (x1, y1, x2, y2) in zip(inside, (box, crop), strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    return inside.all(axis=0).sum() / inside[0].sum()


def test_last_tiles_moved_back_count_each_box_once_and_each_tile_by_what_it_holds():
    """600 px in tiles of 256 px: the last ones start at 344 and share 168 px with those before."""
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 256, (600, 600, 1), dtype=np.uint8)
    boxes = [(400.0, 100.0, 420.0, 120.0), (360.0, 360.0, 500.0, 500.0), (240.0, 10.0, 272.0, 20.0)]
    for x, y, w, h in np.column_stack([rng.integers(0, 560, (20, 2)), rng.integers(2, 40, (20, 2))]):
        boxes.append((float(x), float(y), float(x + w), float(y + h)))
    starts = (0, 256, 344)
    crops = [(x, y, x + 256, y + 256) for y in starts for x in starts]
    shares = np.array([[naive_shares(box, crop, 600) for box in boxes] for crop in crops])
    result = cut_tiles(grey, boxes, TileRules(tile=256))
    positive, partial = (shares >= 0.5).any(axis=1), (shares > 0).any(axis=1) & ~(shares >= 0.5).any(axis=1)
    assert {tile.crop: tile.defective for tile in result.kept} == {
        crop: bool(found) for crop, found, cut in zip(crops, positive, partial, strict=True) if not cut
    }
    assert result.dropped["partial"] == partial.sum()
    assert [tile.touching for tile in result.kept] == [
        np.flatnonzero(row).tolist() for row, cut in zip(shares > 0, partial, strict=True) if not cut
    ]
    assert result.unreached == np.flatnonzero(~(shares >= 0.5).any(axis=0)).tolist()
    assert (shares[:, 0] == 1).sum() == 2  # the first box lies in the overlap and makes two tiles Defective


def test_an_image_smaller_than_a_tile_is_one_tile_of_its_own_size():
    result = cut_tiles(TEXTURE, [(45.0, 45.0, 55.0, 55.0)], TileRules(tile=256))
    assert [(tile.crop, tile.defective, tile.touching) for tile in result.kept] == [((0, 0, 150, 100), True, [0])]
    assert (result.dropped, result.unreached) == ({}, [])
