"""AugMix and RandAugment: what their pictures are made of, and that the defect stays in them."""

import pytest
import torch

from ssl_pcb.augment import augmix, randaugment
from ssl_pcb.augment.areas import own_region, shares_shown
from ssl_pcb.augment.build import build_augment
from ssl_pcb.augment.draws import dirichlet
from ssl_pcb.augment.views import plain_view
from ssl_pcb.config.augment import AS_IT_IS, GeometryConfig, PhotometryConfig, ViewConfig
from ssl_pcb.config.operations import AugMixConfig, RandAugmentConfig

SIZE, COUNT = 24, 8


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(channels=3, count=COUNT):
    pixels = torch.randint(0, 256, (count, channels, SIZE, SIZE), generator=generator(9)).to(torch.uint8)
    return pixels, torch.arange(count) % 2


def name_of(config):
    return config.name


def show(config, seed=0, channels=3):
    return build_augment(config, SIZE)(*batch(channels), generator(seed))


# Draws ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_dirichlet(alpha):
    drawn = dirichlet(alpha, 20000, 3, generator())
    assert torch.allclose(drawn.sum(1), torch.ones(20000), atol=1e-5)
    variance = (1 / 3) * (2 / 3) / (3 * alpha + 1)
    assert drawn.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.01)
    assert drawn.var(0).tolist() == pytest.approx([variance] * 3, rel=0.05)
    assert torch.equal(drawn, dirichlet(alpha, 20000, 3, generator()))


# AugMix -----------------------------------------------------------------------------------------------------


def test_the_clean_pictures_come_first_and_are_the_views():
    shown = show(AugMixConfig(view=AS_IT_IS))
    assert shown.images.shape == (3 * COUNT, 3, SIZE, SIZE)
    assert torch.equal(shown.images[:COUNT], plain_view(batch()[0], SIZE))
    assert (shown.copies, shown.consistency, shown.others) == (3, 12, None)
    copies = shown.images.unflatten(0, (3, COUNT))
    assert all((copies[a] != copies[b]).flatten(1).any(1).all() for a, b in ((0, 1), (0, 2), (1, 2)))
    assert show(AugMixConfig(copies=5)).images.shape[0] == 5 * COUNT


class Halved:
    """In the place of a random operation: halves the picture and counts."""

    def __init__(self):
        self.calls, self.strengths = 0, []

    def __call__(self, images, strengths, names, source):
        self.calls += 1
        self.strengths.append(strengths)
        return images / 2, torch.eye(2, 3).expand(len(images), -1, -1)


def test_a_copy_is_the_blend_of_chains_and_the_clean_picture(monkeypatch):
    """With an operation that halves, a chain of d operations leaves 2 to the minus d: the blend is known."""
    halved = Halved()
    monkeypatch.setattr(augmix, "change_at_random", halved)
    config, source = AugMixConfig(view=AS_IT_IS, width=2, depth=3), generator(4)
    mixer, clean = build_augment(config, SIZE), torch.ones(COUNT, 1, 2, 2)
    found = mixer.blend(clean, source)
    assert halved.calls == 2 * 3
    again = generator(4)
    weights, share = dirichlet(1.0, COUNT, 2, again).double(), dirichlet(1.0, COUNT, 2, again)[:, 0].double()
    chains = []
    for _ in range(2):
        depth = torch.randint(1, 4, (COUNT,), generator=again)
        chains.append(0.5 ** depth.double())
        for _ in range(3):
            torch.rand(COUNT, generator=again), torch.rand(COUNT, generator=again)
    blended = (weights * torch.stack(chains, 1)).sum(1)
    expected = (1 - share) + share * blended
    torch.testing.assert_close(found[:, 0, 0, 0].double(), expected, atol=1e-6, rtol=0)
    levels = torch.cat(halved.strengths).abs() * 10
    assert levels.min() >= 0.1
    assert levels.max() <= 3
    assert 0.3 < (torch.cat(halved.strengths) > 0).float().mean() < 0.7


def test_chains_have_one_to_depth_operations_equally_often(monkeypatch):
    monkeypatch.setattr(augmix, "change_at_random", Halved())
    config = AugMixConfig(view=AS_IT_IS, width=1, depth=3)
    mixer = build_augment(config, SIZE)
    left = mixer._chain(torch.ones(30000, 1, 1, 1), generator())[:, 0, 0, 0]
    assert [(left == 0.5**depth).float().mean().item() for depth in (1, 2, 3)] == pytest.approx([1 / 3] * 3, abs=0.012)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_all_operations_together_keep_shape_and_range(channels):
    every = AugMixConfig.model_json_schema()["properties"]["operations"]["items"]["enum"]
    for config in (
        AugMixConfig(operations=every, severity=10),
        RandAugmentConfig(operations=every, magnitude=10, count=3),
    ):
        images = show(config, channels=channels).images
        assert images.shape[1:] == (channels, SIZE, SIZE)
        assert images.min() >= 0
        assert images.max() <= 1


# RandAugment ------------------------------------------------------------------------------------------------


def test_randaugment_applies_so_many_operations_at_its_level(monkeypatch):
    halved = Halved()
    monkeypatch.setattr(randaugment, "change_at_random", halved)
    shown = show(RandAugmentConfig(view=AS_IT_IS, count=4, magnitude=5))
    assert torch.allclose(shown.images, plain_view(batch()[0], SIZE) / 16)
    assert torch.cat(halved.strengths).abs().unique().tolist() == [0.5]
    assert len(torch.cat(halved.strengths).unique()) == 2


@pytest.mark.parametrize("config", [AugMixConfig(severity=10), RandAugmentConfig(magnitude=10)], ids=name_of)
def test_at_full_strength_every_corner_stays_in_view(config):
    spots = torch.tensor([(x, y, x + 0.1, y + 0.1) for x in (0, 0.9) for y in (0, 0.9)]).expand(COUNT, -1, -1)
    for seed in range(10):
        maps = show(config, seed).maps
        assert shares_shown(spots, maps, own_region(maps.device, 0.0)).min() > 1 - 1e-5


def test_maps_tell_where_randaugment_put_a_defect():
    """Bright defects on dark boards: their brightest place is in the box that the maps lead to."""
    dark = PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0)
    view = ViewConfig(geometry=GeometryConfig(rotation=10, surroundings=False), photometry=dark)
    size, count = 64, 40
    pixels = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    pixels[:, :, 20:28, 36:46] = 255
    moves = ("rotate", "shear_x", "shear_y", "rotate_inside", "shear_inside")
    augment = build_augment(RandAugmentConfig(view=view, operations=moves, magnitude=4), size)
    shown = augment(pixels, torch.ones(count).long(), generator())
    bright = shown.images[:, 0] > 0.9
    inside = torch.tensor([[37.0, 21, 45, 27]]) / size
    for image, view_map in zip(bright, shown.maps, strict=True):
        rows, columns = torch.nonzero(image, as_tuple=True)
        places = (torch.stack([columns, rows], 1) + 0.5) / size * 2 - 1
        samples = ((places @ view_map[:, :2].T + view_map[:, 2]) + 1) / 2
        assert len(samples) > 8
        middle = samples.mean(0)
        assert (middle > inside[0, :2]).all()
        assert (middle < inside[0, 2:]).all()


# Both -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [AugMixConfig(), RandAugmentConfig()], ids=name_of)
def test_the_generator_alone_decides(config):
    state = torch.get_rng_state()
    first, again, other = (show(config, seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(torch.get_rng_state(), state)
