"""The audit of supervised augmentations against planted defects whose fate is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import beta

from ssl_pcb.audit.batches import training_batches
from ssl_pcb.audit.drawing import CUT, KEPT, TILE
from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.audit.policies import audit_policy
from ssl_pcb.audit.policy_rows import APART
from ssl_pcb.audit.policy_sheet import policy_sheet
from ssl_pcb.audit.proportion import Proportion
from ssl_pcb.audit.shown import wrong_mass
from ssl_pcb.augment.build import build_augment
from ssl_pcb.augment.mixing import CutMix
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import (
    AS_IT_IS,
    GeometryConfig,
    NoAugmentConfig,
    PhotometryConfig,
    RandomCropConfig,
    StandardConfig,
    SymmetriesConfig,
    ViewConfig,
)
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig
from ssl_pcb.config.operations import AugMixConfig, RandAugmentConfig
from ssl_pcb.config.painting import PaintedConfig
from ssl_pcb.config.sampler import NaturalConfig, OversampleConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError

SIZE = 64
DARK = PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0)


def rows_of(folder, defective, good, box=(20, 20, 32, 32)):
    """Striped boards, the first of them with an inverted box; all share one clean twin."""
    board = np.where(np.arange(SIZE) // 8 % 2, 200, 60)[None, :].repeat(SIZE, 0).astype(np.uint8)
    Image.fromarray(board).save(folder / "twin.png")
    rows = []
    for index in range(defective + good):
        picture, (x1, y1, x2, y2) = board.copy(), box
        if index < defective:
            picture[y1:y2, x1:x2] = 255 - picture[y1:y2, x1:x2]
        Image.fromarray(picture).save(folder / f"{index}.png")
        row = {"path": f"{index}.png", "label": "NonDefective"}
        if index < defective:
            row |= {"label": "Defective", "boxes": " ".join(map(str, box)), "twin": "twin.png"}
        rows.append(row)
    return rows


def opened(folder, rows):
    return PixelSource.open(Manifest.build(rows, folder), DataConfig(image_size=SIZE))


def audited(source, config, batch_size=4, **keys):
    return audit_policy(source, config, NaturalConfig(), batch_size, **{"views": 20} | keys)


@pytest.fixture
def boards(tmp_path):
    return opened(tmp_path, rows_of(tmp_path, 6, 6))


# Survival and labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [NoAugmentConfig(), SymmetriesConfig(), StandardConfig(), AugMixConfig(), RandAugmentConfig()],
    ids=lambda config: config.name,
)
def test_augmentations_of_one_picture_lose_no_defect_and_leave_labels_right(boards, config):
    audit = audited(boards, config, views=6)
    assert (audit.survival.hits, audit.survival.total) == (36, 36)
    assert (audit.label_noise.hits, audit.label_noise.total) == (0, 72)
    assert audit.contrast.value == 1
    assert audit.passed


def test_random_crops_make_as_many_labels_wrong_as_they_lose_defects(tmp_path):
    """Crops of half the side start uniformly in half the side: a pixel at 16 px is kept a quarter of the time."""
    source = opened(tmp_path, rows_of(tmp_path, 4, 4, box=(16, 16, 17, 17)))
    crop = RandomCropConfig(min_area=0.25, max_area=0.25, max_aspect=1)
    geometry = GeometryConfig(random_crop=crop, allow_crops=True, surroundings=False)
    audit = audited(source, StandardConfig(view=ViewConfig(geometry=geometry, photometry=DARK)), 8, views=250)
    low, high = audit.survival.interval(0.999)
    assert low < 0.25 < high
    low, high = audit.label_noise.interval(0.999)
    assert low < 0.375 < high  # half of the samples have one
    assert not audit.passed


def draws_of(config, count, batches, seed=0):
    """What CutMix draws for so many batches without a view that draws as well."""
    mixer, generator = CutMix(ViewMaker(AS_IT_IS, SIZE), config), torch.Generator().manual_seed(seed)
    found = []
    for _ in range(batches):
        # The view of nothing draws symmetries of one, angles, shifts and scales, which lead nowhere.
        mixer.views.with_maps(torch.zeros(count, 1, SIZE, SIZE, dtype=torch.uint8), generator)
        found.append(mixer.draw(count, generator))
    return found


@pytest.mark.parametrize("labels", ["kept", "area", "defect_aware"])
def test_cutmix_covers_defects_and_makes_labels_wrong_as_drawn(boards, labels):
    """Survival and label mass by hand: boxes are upright here, so overlaps are products."""
    config, count = CutMixConfig(view=AS_IT_IS, probability=1, labels=labels), 6
    audit = audited(boards, config, count)
    batches = list(training_batches(boards, NaturalConfig(), count, samples=500, epochs=20, seed=0))
    survived, wrong = [], []
    for mixture, batch in zip(draws_of(config, count, len(batches)), batches, strict=True):
        x1, y1, x2, y2 = (mixture.pasted * SIZE).tolist()
        overlap = max(0, min(x2, 32) - max(x1, 20)) * max(0, min(y2, 32) - max(y1, 20)) / 144
        defective, share = batch.labels.tolist(), mixture.share.item()
        for own, other in enumerate(mixture.partners.tolist()):
            covered = overlap if own != other else 0
            if defective[own]:
                survived.append(1 - covered >= 0.95)
            shows = (defective[own] and 1 - covered >= 0.5) or (defective[other] and covered >= 0.5)
            mass = {
                "kept": defective[own],
                "area": share * defective[own] + (1 - share) * defective[other],
                "defect_aware": bool(shows),
            }[labels]
            wrong.append(abs(mass - bool(shows)))
    assert (audit.survival.hits, audit.survival.total) == (sum(survived), len(survived))
    assert audit.label_noise.total == len(wrong) == 240
    assert audit.label_noise.hits == pytest.approx(sum(wrong), abs=1e-4)
    assert audit.passed is (labels == "defect_aware")
    assert (audit.label_noise.hits > 5) is (labels != "defect_aware")


def test_a_blend_covers_by_its_share_and_mislabels_by_the_smaller_part(tmp_path):
    """Two samples a batch, one of them defective: where they are each other's partner, the smaller share is wrong."""
    source = opened(tmp_path, rows_of(tmp_path, 1, 1))
    audit = audited(source, MixUpConfig(view=AS_IT_IS, alpha=1), 2, views=400)
    # The share is uniform on 0 to 1, and half of the permutations of two swap them.
    assert audit.label_noise.value == pytest.approx(0.5 * 0.25, abs=4 * 0.17 / np.sqrt(400))
    # Whole where it is its own partner; else of at least 95 % one time in twenty, of at least half every other time.
    assert audit.survival.value == pytest.approx(0.5 + 0.5 * 0.05, abs=4 * 0.5 / np.sqrt(400))
    assert audit.contrast.value == pytest.approx(0.75, abs=4 * 0.45 / np.sqrt(400))
    assert not audit.passed


def test_contrast_is_measured_through_the_whole_policy(boards):
    dimmed = audited(boards, RandAugmentConfig(view=AS_IT_IS, operations=("contrast",), magnitude=10, count=1))
    # Relative contrast is 0.1 or 1.9, as often; the latter is cut off at white and black.
    assert dimmed.contrast.value == pytest.approx(0.5, abs=0.15)
    assert dimmed.contrast_kept[1] == pytest.approx(0.1, abs=0.01)
    assert dimmed.survival.value == 1


def test_the_changed_copies_are_judged_and_not_the_clean_one(boards):
    light = AugMixConfig(view=AS_IT_IS, operations=("solarize",), severity=10, copies=4)
    audit = audited(boards, light, views=4)
    assert audit.contrast.total == 3 * audit.survival.total
    assert audit.contrast_kept[1] < 0.9


def test_a_neighbours_defect_is_a_wrong_label_where_surroundings_are_shown(tmp_path):
    board = np.full((SIZE, 2 * SIZE), 60, np.uint8)
    board[24:32, 66:74] = 250
    Image.fromarray(board).save(tmp_path / "a.png")
    rows = [
        {"path": "a.png", "label": "NonDefective", "crop": "0 0 64 64"},
        {"path": "a.png", "label": "Defective", "crop": "64 0 128 64", "boxes": "66 24 74 32"},
    ]
    shown = ViewConfig(geometry=GeometryConfig(shrink=0.5), photometry=DARK)
    audit = audited(opened(tmp_path, rows), StandardConfig(view=shown), 2)
    assert audit.neighbours.value > 0.5
    assert audit.label_noise.hits == 0
    assert not audit.passed
    assert "neighbours" in audit.to_dict()["figures"]
    assert audited(opened(tmp_path, rows), StandardConfig(), 2).neighbours is None


# Which samples, and what is recorded ------------------------------------------------------------------------


def test_batches_are_as_the_sampler_shows_them_and_hold_no_test_sample(tmp_path):
    rows = rows_of(tmp_path, 3, 9)
    split = [{**row, "split": "test" if index == 0 else "train"} for index, row in enumerate(rows)]
    source = opened(tmp_path, split)
    shown = list(training_batches(source, OversampleConfig(), 6, samples=500, epochs=2, seed=0))
    labels = torch.cat([batch.labels for batch in shown])
    assert labels.float().mean() == 0.5
    assert all(len(batch.labels) == 6 for batch in shown)
    Image.fromarray(np.zeros((SIZE, SIZE), np.uint8)).save(tmp_path / "0.png")
    assert all(batch.pixels.flatten(1).amax(1).min() > 0 for batch in shown)
    few = list(training_batches(source, NaturalConfig(), 32, samples=5, epochs=1, seed=0))
    assert [len(batch.labels) for batch in few] == [5]


def test_a_sample_without_boxes_counts_for_labels_but_not_as_a_defect(tmp_path):
    rows = rows_of(tmp_path, 2, 2)
    rows[0].pop("boxes")
    audit = audited(opened(tmp_path, rows), NoAugmentConfig(), 4, views=3)
    assert audit.survival.total == 3
    assert audit.label_noise.total == 12
    assert audit.passed


def test_without_a_box_there_is_nothing_to_audit(tmp_path):
    rows = rows_of(tmp_path, 2, 2)
    bare = opened(tmp_path, [{key: value for key, value in row.items() if key != "boxes"} for row in rows])
    with pytest.raises(UserError, match="no sample shows a defect box"):
        audited(bare, NoAugmentConfig())
    with pytest.raises(UserError, match="no sample shows a defect box"):
        policy_sheet(bare, {"none": NoAugmentConfig()}, tmp_path / "sheet.png")


def test_the_seed_decides_and_the_figures_are_json(boards):
    first, again = (audited(boards, CutMixConfig(), seed=5).to_dict() for _ in range(2))
    assert json.loads(json.dumps(first)) == again
    assert first["settings"]["augment"]["labels"] == "defect_aware"
    assert first != audited(boards, CutMixConfig(), seed=6).to_dict()


# Intervals --------------------------------------------------------------------------------------------------


def test_single_cases_as_clusters_are_independent():
    values = [1.0] * 17 + [0.0] * 43
    apart = Proportion.of_clusters([[value] for value in values])
    low, high = Proportion(17, 60).interval()
    assert apart.interval() == (pytest.approx(low, rel=0.02), pytest.approx(high, rel=0.02))


def test_cases_that_share_their_luck_count_as_one():
    """Ten clusters of twelve equal cases tell as much as ten cases."""
    alike = Proportion.of_clusters([[float(number < 4)] * 12 for number in range(10)])
    assert (alike.hits, alike.total) == (48, 120)
    assert alike.independent == pytest.approx(9)  # one less, for the mean is estimated
    assert alike.interval() == pytest.approx((beta.ppf(0.025, 3.6, 6.4), beta.ppf(0.975, 4.6, 5.4)))
    none = Proportion.of_clusters([[0.0] * 12] * 10)
    assert none.interval() == (0, pytest.approx(1 - 0.025 ** (1 / 10)))


# The picture ------------------------------------------------------------------------------------------------


def test_the_sheet_shows_what_is_covered_and_which_labels_are_wrong(boards, tmp_path):
    kept = {"cutmix": CutMixConfig(view=AS_IT_IS, probability=1, labels="kept")}
    policies = {"standard": StandardConfig(), **kept, "augmix": AugMixConfig(), "mixup": MixUpConfig()}
    policy_sheet(boards, policies, tmp_path / "sheet.png", samples=6)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    green, red = (np.argwhere((abs(pixels.astype(int) - colour) < 12).all(2)) for colour in (KEPT, CUT))
    assert len(green) > 200
    assert len(red) > 50
    assert red[:, 0].min() > 2 * (APART + TILE)  # below the samples and the standard views
    assert pixels.shape[0] > len(policies) * TILE > 3 * TILE


def test_a_painted_defect_is_one_that_the_picture_shows(tmp_path):
    source = opened(tmp_path, rows_of(tmp_path, 4, 12))
    found = audit_policy(source, PaintedConfig(view=AS_IT_IS), NaturalConfig(), 8, samples=16, views=4)
    assert found.label_noise.value == 0
    assert found.survival.value == 1
    batch = next(iter(training_batches(source, NaturalConfig(), 16, samples=16, epochs=1, seed=0)))
    made = build_augment(PaintedConfig(view=AS_IT_IS), SIZE)(
        batch.pixels, batch.labels, torch.Generator().manual_seed(0), batch.boxes
    )
    forgotten = replace(made, painted=None)
    assert wrong_mass(forgotten, batch.boxes).sum() == (made.painted & batch.labels.eq(0)).sum() > 0
