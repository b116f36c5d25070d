"""What the autoencoder's input loses."""

import pytest
import torch

from ssl_pcb.augment.corruption import add_noise, corrupt, hide_squares
from ssl_pcb.config.method import AutoencoderConfig


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(6, 3, 40, 40, generator=generator(1))


def test_noise_has_the_stated_deviation():
    grey = torch.full((4, 1, 64, 64), 0.5)
    difference = add_noise(grey, 0.1, generator()) - grey
    assert difference.std().item() == pytest.approx(0.1, rel=0.05)
    assert difference.mean().item() == pytest.approx(0, abs=0.01)
    strong = add_noise(grey, 1.0, generator())
    assert (strong.min(), strong.max()) == (0, 1)


@pytest.mark.parametrize(("ratio", "hidden"), [(0.5, 12), (0.01, 1), (0.99, 24)])
def test_squares_of_a_grid_are_hidden_behind_the_mean(images, ratio, hidden):
    found = hide_squares(images, ratio, 8, generator())
    for before, after in zip(images, found, strict=True):
        changed = (before != after).any(0).reshape(5, 8, 5, 8).permute(0, 2, 1, 3).flatten(2)
        assert changed.all(2).sum() == changed.any(2).sum() == hidden
        mean = before.mean((1, 2))
        assert torch.allclose(after[:, (before != after).any(0)], mean[:, None])


def test_each_image_hides_others(images):
    found = hide_squares(images, 0.5, 8, generator())
    masks = {tuple((a != b).any(0).flatten().tolist()) for a, b in zip(images, found, strict=True)}
    assert len(masks) == len(images)


def test_squares_that_do_not_divide_the_image(images):
    found = hide_squares(images, 0.5, 16, generator())  # 3 x 3 squares, the last ones 8 px wide
    assert found.shape == images.shape
    assert (found != images).any()
    assert (found == images).any()


@pytest.mark.parametrize("kind", ["none", "noise", "mask", "defect"])
def test_the_target_stays_and_the_generator_decides(images, kind):
    before, config = images.clone(), AutoencoderConfig(corruption=kind)
    first, again, other = (corrupt(images, config, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(images, before)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == torch.equal(first, images) == (kind == "none")
