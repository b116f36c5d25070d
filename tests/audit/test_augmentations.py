"""The audit against planted policies, twins and neighbours."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import beta

from ssl_pcb.audit.augmentations import audit_augmentations
from ssl_pcb.audit.contact_sheet import contact_sheet
from ssl_pcb.audit.drawing import CUT, GAP, KEPT, TILE
from ssl_pcb.audit.policy_rows import APART
from ssl_pcb.audit.proportion import Proportion
from ssl_pcb.audit.view_measures import rms_in_boxes
from ssl_pcb.config.augment import GeometryConfig, PhotometryConfig, RandomCropConfig, ViewConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError

DATA = DataConfig(image_size=64)
DARK = PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0)
STILL = GeometryConfig(symmetries=False, rotation=0, translation=0, shrink=0)
IDENTITY = ViewConfig(geometry=STILL, photometry=DARK)


def crops(**limits):
    crop = RandomCropConfig(**limits)
    return ViewConfig(geometry=GeometryConfig(random_crop=crop, allow_crops=True), photometry=DARK)


def save(folder, name, boxes=(), size=64):
    """A striped board with inverted boxes."""
    board = np.where(np.arange(size) // 8 % 2, 200, 60)[None, :].repeat(size, 0).astype(np.uint8)
    for x1, y1, x2, y2 in boxes:
        board[y1:y2, x1:x2] = 255 - board[y1:y2, x1:x2]
    Image.fromarray(board).save(folder / name)


def text(boxes):
    return ";".join(" ".join(map(str, box)) for box in boxes)


@pytest.fixture
def defects(tmp_path):
    """Defects of 12 px at many places, each with its clean twin."""
    save(tmp_path, "twin.png")
    rows = []
    for index, (x, y) in enumerate((x, y) for x in range(0, 53, 13) for y in range(0, 53, 13)):
        boxes = [(x, y, x + 12, y + 12)]
        save(tmp_path, f"{index}.png", boxes)
        rows.append({"path": f"{index}.png", "label": "Defective", "boxes": text(boxes), "twin": "twin.png"})
    return Manifest.build(rows, tmp_path)


def test_the_default_views_keep_every_defect(defects):
    audit = audit_augmentations(defects, DATA, ViewConfig(), views=8)
    assert audit.passed
    assert (audit.in_view.hits, audit.in_view.total) == (200, 200)


def test_a_fixed_crop_loses_the_share_of_defects_that_it_must(tmp_path):
    """A centred crop of a quarter of the area: its place is random, the share of a corner box in it is not."""
    save(tmp_path, "a.png", [(0, 0, 64, 64)])
    whole = Manifest.build([{"path": "a.png", "label": "Defective", "boxes": "0 0 64 64"}], tmp_path)
    audit = audit_augmentations(whole, DATA, crops(min_area=0.25, max_area=0.25, max_aspect=1), views=50)
    assert (audit.in_view.hits, audit.in_view.total) == (0, 50)  # a quarter of the box is less than 95 %
    assert not audit.passed
    audit = audit_augmentations(whole, DATA, crops(min_area=0.96, max_area=0.96, max_aspect=1), views=50)
    assert audit.in_view.hits == 50


def test_crops_of_one_size_lose_a_corner_at_the_rate_of_geometry(tmp_path):
    """Crops of half the side start uniformly in half the side: a box at x = y = 16..17 px is kept if both
    starts are at most 16 of 32 px, half the time each (and the other half, they would cut it off)."""
    save(tmp_path, "a.png", [(16, 16, 17, 17)])
    manifest = Manifest.build([{"path": "a.png", "label": "Defective", "boxes": "16 16 17 17"}], tmp_path)
    audit = audit_augmentations(manifest, DATA, crops(min_area=0.25, max_area=0.25, max_aspect=1), views=2000)
    low, high = audit.in_view.interval(0.999)
    assert low < 0.25 < high
    assert not audit.passed
    assert f"{2000 - audit.in_view.hits:,} times" in "\n".join(audit.lines())


def test_contrast_is_whole_without_augmentation_and_falls_under_a_blur(defects):
    plain = audit_augmentations(defects, DATA, IDENTITY)
    assert plain.contrast.value == 1
    assert plain.contrast_kept == pytest.approx((1, 1), abs=1e-3)
    blurred = IDENTITY.model_copy(update={"photometry": DARK.model_copy(update={"blur": 5.0})})
    audit = audit_augmentations(defects, DATA, blurred, views=8)
    assert audit.in_view.value == 1
    assert audit.contrast.value < 0.9
    assert audit.contrast_kept[1] < 0.5


def test_contrast_is_measured_where_the_view_puts_the_defect(defects):
    turned = ViewConfig(geometry=STILL.model_copy(update={"symmetries": True}), photometry=DARK)
    assert audit_augmentations(defects, DATA, turned).contrast_kept == pytest.approx((1, 1), abs=1e-3)
    moved = ViewConfig(geometry=GeometryConfig(rotation=180, translation=0.1), photometry=DARK)
    median, low = audit_augmentations(defects, DATA, moved).contrast_kept
    assert median == pytest.approx(1, abs=0.1)
    assert low > 0.85


def test_contrast_survives_as_often_as_its_strength_lets_it(tmp_path):
    """Sample and twin of plain greys: views of relative contrast c keep c of the difference."""
    for name, defect in (("a.png", 150), ("twin.png", 100)):
        board = np.full((64, 64), 100, np.uint8)
        board[8:16, 8:16] = defect
        Image.fromarray(board).save(tmp_path / name)
    row = {"path": "a.png", "label": "Defective", "boxes": "8 8 16 16", "twin": "twin.png"}
    view = ViewConfig(geometry=STILL, photometry=DARK.model_copy(update={"contrast": 0.9}))
    audit = audit_augmentations(Manifest.build([row], tmp_path), DATA, view, views=4000)
    # Relative contrast is uniform on 0.1 to 1.9; the mean's own difference of 1/64 stays with the light. It
    # is below half with probability 0.4 / 1.8.
    low, high = audit.contrast.interval(0.999)
    assert low - 0.02 < 1 - 0.4 / 1.8 < high + 0.02
    assert audit.contrast_kept[0] == pytest.approx(1, abs=0.05)


def test_noise_is_the_same_for_sample_and_twin(defects):
    noisy = IDENTITY.model_copy(update={"photometry": DARK.model_copy(update={"noise": 0.02})})
    audit = audit_augmentations(defects, DATA, noisy)
    assert audit.contrast_kept == pytest.approx((1, 1), abs=1e-3)


def test_without_twins_contrast_is_not_measured(defects):
    bare = Manifest.build(defects.frame.drop(columns="twin"), defects.root)
    audit = audit_augmentations(bare, DATA, ViewConfig())
    assert audit.contrast is None
    assert "contrast" not in audit.to_dict()["figures"]
    assert any("not measured" in line for line in audit.lines())


@pytest.fixture
def neighbours(tmp_path):
    """Two tiles of one image: a clean one, and one with a defect that starts 2 px beyond the clean one's edge."""
    box = (66, 24, 74, 32)
    save(tmp_path, "a.png", [box], size=128)
    rows = [
        {"path": "a.png", "label": "NonDefective", "crop": "0 0 64 64"},
        {"path": "a.png", "label": "Defective", "crop": "64 0 128 64", "boxes": text([box])},
    ]
    return Manifest.build(rows, tmp_path)


def test_a_neighbours_defect_is_found_where_the_surroundings_show_it(neighbours):
    shown = ViewConfig(geometry=GeometryConfig(shrink=0.5))
    audit = audit_augmentations(neighbours, DATA, shown, views=100)
    assert audit.label_noise.total == 100
    assert audit.label_noise.value > 0.5
    assert audit.passed  # the neighbour concerns the clean sample, not the defects


@pytest.mark.parametrize("geometry", [STILL, GeometryConfig(surroundings=False, shrink=0.5)])
def test_no_neighbour_enters_views_that_do_not_reach_beyond_the_sample(neighbours, geometry):
    audit = audit_augmentations(neighbours, DATA, ViewConfig(geometry=geometry), views=20)
    assert audit.label_noise is None or audit.label_noise.hits == 0
    assert (audit.label_noise is None) == (not geometry.surroundings)


def test_what_is_seen_around_a_tile_is_no_neighbours_defect_in_its_place(neighbours):
    """The defect is seen beside the clean tile in every view; only where the tile shrinks does it come to lie in it."""
    within = DATA.model_copy(update={"image_size": 96, "context": 16, "margin": 0.0})
    still = audit_augmentations(neighbours, within, ViewConfig(geometry=STILL), views=20)
    assert (still.label_noise.hits, still.label_noise.total) == (0, 20)
    assert still.passed
    smaller = ViewConfig(geometry=GeometryConfig(shrink=0.5, rotation=0, translation=0, surroundings=False))
    assert audit_augmentations(neighbours, within, smaller, views=100).label_noise.value > 0.5


def test_contrast_outside_the_tiles_place_does_not_count():
    """A defect that a view moves among the tile's surroundings is seen there, and not by the head."""
    maps, box = torch.eye(2, 3)[None].clone(), torch.tensor([[16.0, 40.0, 20.0, 44.0]])
    maps[0, 0, 2] = 8 * 2 / 96  # the sample lies 8 px further left
    pair = torch.zeros(2, 1, 1, 96, 96)
    pair[0, ..., 40:44, 8:12] = 1.0
    assert rms_in_boxes(pair, box, maps).item() == pytest.approx(1)
    assert rms_in_boxes(pair, box, maps, context=16).item() == 0
    assert rms_in_boxes(pair, box, maps, context=10).item() == pytest.approx(1)


def test_a_defect_that_a_crop_leaves_beside_the_tiles_place_is_lost(tmp_path):
    """A crop of the whole picture, made 1.5 times as large, leaves a box at the tile's edge among its surroundings."""
    save(tmp_path, "a.png", [(0, 0, 8, 8)], size=128)
    row = {"path": "a.png", "label": "Defective", "crop": "0 0 64 64", "boxes": "0 0 8 8"}
    within = DATA.model_copy(update={"image_size": 96, "context": 16})
    view = crops(min_area=4 / 9, max_area=4 / 9, max_aspect=1)
    geometry = view.geometry.model_copy(update={"symmetries": False})
    view = view.model_copy(update={"geometry": geometry})
    audit = audit_augmentations(Manifest.build([row], tmp_path), within, view, views=400)
    # It starts at 16 px of 96, and a crop of 64 px anywhere from 0 to 32: seen at (16 - start) * 1.5, and in the tile's
    # place if that is at least 16, of starts up to 5 1/3; and less 5 % of it, of either axis or of both together.
    low, high = audit.in_view.interval(0.999)
    assert low - 0.02 < (16 / 3 / 32) ** 2 < high


def test_what_a_clean_sample_shows_of_a_defect_itself_is_no_fault_of_its_views(neighbours):
    frame = neighbours.frame.assign(crop=["5 0 69 64", "64 0 128 64"])
    inside = Manifest.build(frame, neighbours.root)
    audit = audit_augmentations(inside, DATA, ViewConfig(geometry=STILL), views=20)
    assert audit.label_noise.hits == 0


def test_a_neighbour_beyond_the_ring_stays_out(neighbours):
    geometry = GeometryConfig(shrink=0.9, rotation=0, translation=0)
    narrow = DATA.model_copy(update={"margin": 0.03})  # 2 px, the defect starts after them
    assert audit_augmentations(neighbours, narrow, ViewConfig(geometry=geometry)).label_noise.hits == 0
    assert audit_augmentations(neighbours, DATA, ViewConfig(geometry=geometry), views=50).label_noise.hits > 0


def test_the_seed_decides_the_figures_and_they_are_json(defects):
    first, again = (audit_augmentations(defects, DATA, crops(), samples=9, seed=3) for _ in range(2))
    assert json.loads(json.dumps(first.to_dict())) == again.to_dict()
    assert first.in_view.total == 9 * 4


def test_a_manifest_without_boxes_is_refused(tmp_path):
    save(tmp_path, "a.png")
    bare = Manifest.build([{"path": "a.png", "label": "Defective"}], tmp_path)
    with pytest.raises(UserError, match="no sample shows a defect box"):
        audit_augmentations(bare, DATA, ViewConfig())
    with pytest.raises(UserError, match="no sample shows a defect box"):
        contact_sheet(bare, DATA, {"default": ViewConfig()}, tmp_path / "sheet.png")


def test_a_broken_image_is_named_or_skipped(defects):
    (defects.root / "3.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"3\.png"):
        audit_augmentations(defects, DATA, ViewConfig())
    skipping = DATA.model_copy(update={"skip_bad": True})
    assert audit_augmentations(defects, skipping, ViewConfig()).in_view.total == 24 * 4


def test_proportion_interval_is_clopper_pearson():
    low, high = Proportion(17, 60).interval()
    assert low == pytest.approx(beta.ppf(0.025, 17, 44))
    assert high == pytest.approx(beta.ppf(0.975, 18, 43))
    assert Proportion(60, 60).interval()[0] == pytest.approx(0.025 ** (1 / 60))


def test_the_contact_sheet_outlines_defects_and_marks_cut_ones(defects, tmp_path):
    path = tmp_path / "made" / "sheet.png"
    policies = {"default": ViewConfig(), "crop": crops(min_area=0.1, max_area=0.1)}
    contact_sheet(defects, DATA, policies, path, samples=3, per_sample=4)
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet)
    above = APART + TILE + APART + 4 * (TILE + GAP) - GAP  # the samples and the four rows of default views
    assert len(pixels) > above + APART + 4 * TILE
    kept, cut = (np.argwhere((abs(pixels.astype(int) - colour) < 12).all(2)) for colour in (KEPT, CUT))
    assert len(kept) > 200
    assert cut[:, 0].min() > above
    assert [file.name for file in path.parent.iterdir()] == ["sheet.png"]


def test_test_samples_are_not_looked_at(defects, neighbours):
    splits = ["test"] * 10 + ["train"] * 5 + ["val"] * 4 + ["holdout"] * 3 + [""] * 3
    some = Manifest.build(defects.frame.assign(split=splits), defects.root)
    for index in range(10):
        (defects.root / f"{index}.png").write_bytes((defects.root / "twin.png").read_bytes())
    audit = audit_augmentations(some, DATA, IDENTITY, views=1)
    assert audit.in_view.total == 15
    assert audit.contrast.value == 1  # the test images hold no defect any more, so nothing would be left of theirs
    shown = ViewConfig(geometry=GeometryConfig(shrink=0.5))
    frame = pd.concat([neighbours.frame.assign(split="test"), some.frame[10:]])
    audit = audit_augmentations(Manifest.build(frame, neighbours.root), DATA, shown, views=2)
    assert audit.label_noise is None
    hidden = Manifest.build(defects.frame.assign(split="test"), defects.root)
    with pytest.raises(UserError, match="not of split 'test'"):
        audit_augmentations(hidden, DATA, IDENTITY)
