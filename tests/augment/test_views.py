"""Views of stored samples: where their pixels come from and that their draw decides them."""

import pytest
import torch

from ssl_pcb.augment import views as views_module
from ssl_pcb.augment.geometric import warp
from ssl_pcb.augment.photometric import relight
from ssl_pcb.augment.views import ViewMaker, centre, plain_view
from ssl_pcb.config.augment import GeometryConfig, PhotometryConfig, ViewConfig

SIZE, MARGIN = 32, 6
DARK = PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0)


def pixels(count=5, channels=1, seed=0):
    side = SIZE + 2 * MARGIN
    shape = (count, channels, side, side)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_geometry_then_light_and_stay_in_range(channels):
    maker, batch = ViewMaker(ViewConfig(), SIZE), pixels(channels=channels)
    draw = maker.draw(5, channels, generator())
    result = maker.apply(batch, draw)
    torch.testing.assert_close(result, relight(warp(batch.float() / 255, draw.maps, SIZE), draw.light))
    assert result.shape == (5, channels, SIZE, SIZE)
    assert result.min() >= 0
    assert result.max() <= 1


def test_with_every_augmentation_off_a_view_is_its_sample_to_the_last_bit():
    still = GeometryConfig(symmetries=False, rotation=0, translation=0, shrink=0)
    batch = pixels(channels=3)
    assert torch.equal(ViewMaker(ViewConfig(geometry=still, photometry=DARK), SIZE)(batch, generator()),
                       plain_view(batch, SIZE))  # fmt: skip


def test_one_draw_gives_the_same_views_twice_and_leaves_the_pixels_alone():
    maker, batch = ViewMaker(ViewConfig(), SIZE), pixels()
    before = batch.clone()
    draw = maker.draw(5, 1, generator())
    assert torch.equal(maker.apply(batch, draw), maker.apply(batch, draw))
    assert torch.equal(batch, before)


def test_the_generators_seed_decides_the_views():
    maker, batch = ViewMaker(ViewConfig(), SIZE), pixels()
    source = generator(1)
    first, second = maker(batch, source), maker(batch, source)
    assert torch.equal(first, maker(batch, generator(1)))
    assert not torch.allclose(first, second)
    torch.manual_seed(0)
    global_state = torch.get_rng_state()
    maker(batch, generator(1))
    assert torch.equal(torch.get_rng_state(), global_state)


def test_a_batch_that_is_worked_off_in_groups_gives_every_sample_its_own_view(monkeypatch):
    maker = ViewMaker(ViewConfig(photometry=DARK), SIZE)
    batch = pixels(1).expand(7, -1, -1, -1)
    monkeypatch.setattr(views_module, "GROUP_VALUES", 2 * batch[0].numel())
    result = maker(batch, generator())
    assert result.shape == (7, 1, SIZE, SIZE)
    assert len({view.numpy().tobytes() for view in result}) == 7
    # The first group is what a batch of its size alone would give.
    torch.testing.assert_close(result[:2], maker(batch[:2], generator()))


@pytest.mark.parametrize(("surroundings", "expected"), [(True, True), (False, False)])
def test_the_ring_is_seen_only_with_surroundings(surroundings, expected):
    batch = torch.zeros(40, 1, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN, dtype=torch.uint8)
    batch[..., :MARGIN, :] = batch[..., -MARGIN:, :] = 255
    batch[..., :MARGIN] = batch[..., -MARGIN:] = 255
    config = ViewConfig(geometry=GeometryConfig(rotation=20, surroundings=surroundings), photometry=DARK)
    result = ViewMaker(config, SIZE)(batch, generator())
    assert bool((result.amax((1, 2, 3)) > 0.5).all()) is expected
    assert bool((result > 0).any()) is expected


def test_plain_view_is_the_sample_without_its_ring():
    batch = pixels(2)
    assert torch.equal(plain_view(batch, SIZE), batch[..., MARGIN:-MARGIN, MARGIN:-MARGIN].float() / 255)
    assert torch.equal(
        centre(batch[..., MARGIN:-MARGIN, MARGIN:-MARGIN], SIZE), batch[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    )


def test_without_any_strength_a_view_is_the_plain_view():
    still = GeometryConfig(symmetries=False, rotation=0, translation=0, shrink=0)
    result = ViewMaker(ViewConfig(geometry=still, photometry=DARK), SIZE)(pixels(), generator())
    torch.testing.assert_close(result, plain_view(pixels(), SIZE), atol=1e-4, rtol=0)


def test_symmetries_alone_move_pixels_and_change_none():
    config = ViewConfig(geometry=GeometryConfig(rotation=0, translation=0, shrink=0), photometry=DARK)
    batch = pixels(count=60, channels=3)
    views, plain = ViewMaker(config, SIZE)(batch, generator()), plain_view(batch, SIZE)
    seen = set()
    for view, sample in zip(views, plain, strict=True):
        ways = [turned.flip(2) if flip else turned
                for turned in (sample.rot90(k, (1, 2)) for k in range(4)) for flip in (False, True)]  # fmt: skip
        seen |= {number for number, way in enumerate(ways) if torch.equal(view, way)}
        assert any(torch.equal(view, way) for way in ways)
    assert len(seen) == 8


def test_nothing_to_vary_is_what_evaluation_sees():
    config = ViewConfig(geometry=GeometryConfig(symmetries=False, rotation=0, translation=0, shrink=0), photometry=DARK)
    assert torch.equal(ViewMaker(config, SIZE)(pixels(), generator()), plain_view(pixels(), SIZE))


@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_golden_image_lies_up_to_so_many_whole_pixels_beside_its_image_and_only_there(most):
    """Image and golden image are one picture, whose pixels are all different: the shift can be read off."""
    side = SIZE + 2 * MARGIN
    one = torch.arange(side)[:, None] * 3 + torch.arange(side)
    pair = (one % 256).to(torch.uint8).expand(200, 2, side, side).contiguous()
    geometry = GeometryConfig(rotation=0, translation=0, shrink=0, symmetries=False, misalignment=most)
    views = ViewMaker(ViewConfig(geometry=geometry, photometry=DARK), SIZE, references=True)(pair, generator())
    assert torch.equal(views[:, :1], plain_view(pair[:, :1], SIZE))
    shifts = set()
    for image, golden in zip(*(views * 255).round().long().split(1, 1), strict=True):
        apart = (golden - image) % 256  # 3 for each pixel down, 1 for each to the right
        [found] = apart[:, most : SIZE - most, most : SIZE - most].unique().tolist()
        shifts.add(found)
    assert shifts == {(3 * down + right) % 256 for down in range(-most, most + 1) for right in range(-most, most + 1)}


def test_image_and_golden_image_have_each_a_light_of_its_own():
    pair = pixels(channels=1).repeat(1, 2, 1, 1)
    views = ViewMaker(ViewConfig(), SIZE, references=True)(pair, generator())
    assert (views[:, 0] - views[:, 1]).abs().mean((1, 2)).min() > 0.005
    dark = ViewConfig(geometry=GeometryConfig(misalignment=0), photometry=DARK)
    first, second = ViewMaker(dark, SIZE, references=True)(pair, generator()).split(1, 1)
    torch.testing.assert_close(first, second)
