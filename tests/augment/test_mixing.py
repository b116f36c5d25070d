"""CutMix and mixup against pixel-by-pixel versions, and labels that follow planted defects."""

import numpy as np
import pytest
import torch

from ssl_pcb.augment.build import build_augment
from ssl_pcb.augment.mixing import CutMix, MixUp, shows_defect
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import AS_IT_IS, GeometryConfig, PhotometryConfig, ViewConfig
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig

SIZE, COUNT = 32, 6
DARK = PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0)
MOVED = ViewConfig(
    geometry=GeometryConfig(rotation=15, translation=0.03, shrink=0, surroundings=False), photometry=DARK
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=COUNT, channels=3):
    pixels = torch.randint(0, 256, (count, channels, SIZE, SIZE), generator=generator(9)).to(torch.uint8)
    return pixels, torch.arange(count) % 2


def cutmix(**keys):
    return build_augment(CutMixConfig(view=AS_IT_IS, probability=1, **keys), SIZE)


# CutMix -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(5))
def test_cutmix_equals_a_naive_version_pixel_by_pixel(seed, channels):
    pixels, labels = batch(channels=channels)
    shown = cutmix(labels="area")(pixels, labels, generator(seed))
    mixture, plain = shown.mixture, pixels.double().numpy() / 255
    x1, y1, x2, y2 = (round(value * SIZE) for value in mixture.pasted.tolist())
    expected, pasted = plain.copy(), 0
    for y in range(y1, y2):
        for x in range(x1, x2):
            pasted += 1
            for receiver, donor in enumerate(mixture.partners.tolist()):
                expected[receiver, :, y, x] = plain[donor, :, y, x]
    np.testing.assert_allclose(shown.images.numpy(), expected, atol=1e-6)
    assert mixture.share.item() == pytest.approx(1 - pasted / SIZE**2, abs=1e-6)
    assert torch.equal(shown.labels, labels)
    assert torch.equal(shown.others, labels[mixture.partners])


def draws(config, count=2000):
    mixer = CutMix(ViewMaker(AS_IT_IS, SIZE), config)
    drawn, source = [], generator(3)
    for _ in range(count):
        drawn.append(mixer.draw(COUNT, source))
    return drawn


def test_boxes_lie_inside_on_whole_pixels_and_as_wide_as_high_where_nothing_is_cut_off():
    corners = torch.stack([mixture.pasted for mixture in draws(CutMixConfig(probability=1))]) * SIZE
    assert torch.allclose(corners, corners.round(), atol=1e-4)
    assert corners.min() == 0
    assert corners.max() == SIZE
    inside = ((corners > 0) & (corners < SIZE)).all(1)
    sides = corners[:, 2:] - corners[:, :2]
    assert (sides[inside, 0] - sides[inside, 1]).abs().max() <= 1  # rounding
    assert (sides >= 0).all()


def test_within_surroundings_the_tiles_own_place_is_pasted_into_and_counts():
    context, config = 8, CutMixConfig(view=AS_IT_IS, probability=1, labels="area")
    mixer, source = CutMix(ViewMaker(AS_IT_IS, SIZE, context), config), generator(3)
    for _ in range(300):
        mixture = mixer.draw(COUNT, source)
        x1, y1, x2, y2 = (mixture.pasted * SIZE).tolist()
        assert context - 1e-4 <= min(x1, y1) <= max(x2, y2) <= SIZE - context + 1e-4
        own = (SIZE - 2 * context) ** 2
        assert mixture.share.item() == pytest.approx(1 - (x2 - x1) * (y2 - y1) / own, abs=1e-5)


def test_the_area_that_is_drawn_is_that_of_the_beta_before_it_is_clipped():
    """A square of side s and uniform centre keeps s - s^2 / 4 of each side on average."""
    shares = torch.stack([mixture.share for mixture in draws(CutMixConfig(probability=1, alpha=1))])
    side = np.sqrt(np.linspace(0, 1, 10001))  # area uniform, as Beta(1, 1) is
    expected = ((side - side**2 / 4) ** 2).mean()
    error = shares.std().item() / np.sqrt(len(shares))
    assert (1 - shares).mean().item() == pytest.approx(expected, abs=4 * error)


def test_only_so_many_batches_are_mixed_and_the_others_are_what_they_were():
    mixtures = draws(CutMixConfig(probability=0.3))
    whole = np.array([mixture.share.item() == 1 for mixture in mixtures])
    assert 0.7 < whole.mean() < 0.7 + 4 * np.sqrt(0.21 / 2000) + 0.02  # a few rectangles are smaller than a pixel
    pixels, labels = batch()
    for seed in range(20):
        shown = build_augment(CutMixConfig(view=AS_IT_IS, probability=0.3, labels="area"), SIZE)(
            pixels, labels, generator(seed)
        )
        untouched = torch.equal(shown.images, pixels.float() / 255)
        moved = (shown.mixture.partners != torch.arange(COUNT)).any()
        assert untouched == (shown.mixture.share.item() == 1) or not moved


def test_partners_are_a_permutation():
    partners = torch.stack([mixture.partners for mixture in draws(CutMixConfig(), 200)])
    assert (partners.sort(1)[0] == torch.arange(COUNT)).all()
    assert len({tuple(row.tolist()) for row in partners}) > 50


def test_kept_labels_are_the_receivers():
    pixels, labels = batch()
    shown = cutmix(labels="kept")(pixels, labels, generator())
    assert torch.equal(shown.labels, labels)
    assert shown.others is None


# Labels that follow the defects -----------------------------------------------------------------------------

BOARD = 96


def planted(count, seed):
    """Dark samples, every other one with a bright defect in its middle third, and the boxes of these.

    Away from the edge, no mirror image of a defect comes into view.
    """
    rng = np.random.default_rng(seed)
    pixels = torch.zeros(count, 1, BOARD, BOARD, dtype=torch.uint8)
    boxes = torch.full((count, 2, 4), torch.nan)
    for index in range(0, count, 2):
        (x, y), (width, height) = rng.integers(BOARD // 3, BOARD // 2, 2), rng.integers(10, 17, 2)
        pixels[index, :, y : y + height, x : x + width] = 255
        boxes[index, 0] = torch.tensor([x, y, x + width, y + height]) / BOARD
    return pixels, (~boxes[:, 0, 0].isnan()).long(), boxes


def counted(shown, pixels, views):
    """For each picture the largest share of a defect's brightness in it, counted in pixels."""
    alone = views.move(pixels, shown.maps)
    x1, y1, x2, y2 = (round(value * BOARD) for value in shown.mixture.pasted.tolist())
    pasted = torch.zeros(BOARD, BOARD, dtype=torch.bool)
    pasted[y1:y2, x1:x2] = True
    donated = (alone * pasted).sum((1, 2, 3)) / alone.sum((1, 2, 3))
    return torch.fmax(1 - donated, donated[shown.mixture.partners]).nan_to_num(0)


@pytest.mark.parametrize("view", [AS_IT_IS, MOVED], ids=["as they are", "turned"])
def test_labels_follow_the_defects_that_are_seen(view):
    augment = build_augment(CutMixConfig(view=view, probability=1, labels="defect_aware"), BOARD)
    checked = changed = 0
    for seed in range(60):
        pixels, labels, boxes = planted(8, seed)
        shown = augment(pixels, labels, generator(seed), boxes)
        share = counted(shown, pixels, augment.views)
        sure = (share - 0.5).abs() > 0.05  # pixels at a turned edge are counted in part
        assert torch.equal(shown.labels[sure], (share > 0.5).long()[sure]), seed
        checked += int(sure.sum())
        changed += int((shown.labels != labels).sum())
        assert shown.others is None
    assert checked > 450
    assert changed > 40  # some were covered, and some pasted into good pictures


def test_a_box_that_is_half_covered_is_still_seen():
    boxes = torch.tensor([[[0.25, 0.25, 0.5, 0.5]], [[torch.nan] * 4]])
    maps, partners = torch.eye(2, 3).expand(2, -1, -1), torch.tensor([1, 0])

    def found(x2):
        return shows_defect(boxes, maps, partners, torch.tensor([0.0, 0.0, x2, 1.0])).tolist()

    assert found(0.375) == [True, True]  # half here, half there
    assert found(0.37) == [True, False]
    assert found(0.38) == [False, True]
    assert found(0.0) == [True, False]


def test_a_sample_that_is_all_defect_stays_one_while_half_of_it_is_seen():
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]] + 3 * [[[torch.nan] * 4]])
    augment, pixels = cutmix(labels="defect_aware"), torch.zeros(4, 1, SIZE, SIZE, dtype=torch.uint8)
    seen = set()
    for seed in range(300):
        shown = augment(pixels, torch.tensor([1, 0, 0, 0]), generator(seed), boxes)
        share, partner = shown.mixture.share.item(), shown.mixture.partners.tolist()
        expected = [
            int((own == 0 and share >= 0.5) or (other == 0 and share <= 0.5)) for own, other in enumerate(partner)
        ]
        assert shown.labels.tolist() == expected
        seen.add(tuple(expected))
    assert len(seen) == 4  # in its own picture, or in that of any other


# mixup ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_mixup_equals_the_sum_of_both_pictures(seed):
    pixels, labels = batch()
    shown = build_augment(MixUpConfig(view=AS_IT_IS), SIZE)(pixels, labels, generator(seed))
    share, partners = shown.mixture.share.double().item(), shown.mixture.partners.numpy()
    plain = pixels.double().numpy() / 255
    np.testing.assert_allclose(shown.images.numpy(), share * plain + (1 - share) * plain[partners], atol=1e-6)
    assert torch.equal(shown.others, labels[shown.mixture.partners])
    assert shown.mixture.pasted is None


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_of_mixup_are_those_of_the_beta(alpha):
    mixer, source = MixUp(ViewMaker(AS_IT_IS, SIZE), MixUpConfig(view=AS_IT_IS, alpha=alpha)), generator(1)
    pixels, labels = torch.zeros(2, 1, SIZE, SIZE, dtype=torch.uint8), torch.zeros(2, dtype=torch.long)
    shares = np.array([mixer(pixels, labels, source).mixture.share.item() for _ in range(1500)])
    deviation = np.sqrt(1 / (4 * (2 * alpha + 1)))
    assert shares.mean() == pytest.approx(0.5, abs=4 * deviation / np.sqrt(1500))
    assert shares.std() == pytest.approx(deviation, rel=0.07)
    assert (shares >= 0).all()
    assert (shares <= 1).all()


def test_a_batch_that_mixup_leaves_alone_is_whole():
    pixels, labels = batch()
    augment = build_augment(MixUpConfig(view=AS_IT_IS, probability=1e-9), SIZE)
    shown = augment(pixels, labels, generator())
    assert shown.mixture.share.item() == 1
    assert torch.equal(shown.images, pixels.float() / 255)


# Both -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [CutMixConfig(labels="area"), MixUpConfig()], ids=lambda config: config.name)
def test_the_generator_alone_decides(config):
    pixels, labels = batch()
    augment, state = build_augment(config, SIZE), torch.get_rng_state()
    first, again, other = (augment(pixels, labels, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert first.mixture.share == again.mixture.share
    assert not torch.equal(first.images, other.images)
    assert torch.equal(torch.get_rng_state(), state)
