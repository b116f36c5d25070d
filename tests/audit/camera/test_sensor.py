"""Noise by its variance, JPEG against Pillow's, resolution by what it cannot show."""

import numpy as np
import pytest
import torch

from ssl_pcb.audit.camera.sensor import READ_NOISE, coarsen, compress, sensor_noise
from ssl_pcb.imaging.encoded import reencoded


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("grey", [0.3, 0.6])
def test_noise_has_the_variance_of_photons_and_of_reading(grey):
    flat = torch.full((16, 1, 64, 64), grey)
    found = sensor_noise(flat, 400.0, generator()).double()
    assert found.mean().item() == pytest.approx(grey, abs=1e-3)
    assert found.var().item() == pytest.approx((grey + READ_NOISE**2) / 400, rel=0.03)


def test_noise_stays_in_range_and_in_the_dark_only_reading_is_left():
    black, white = torch.zeros(4, 1, 64, 64), torch.ones(4, 1, 64, 64)
    assert sensor_noise(white, 25.0, generator()).max() == 1
    dark = sensor_noise(black, 25.0, generator()).double()
    assert dark.min() == 0
    assert dark.square().mean().item() == pytest.approx(READ_NOISE**2 / 25 / 2, rel=0.05)  # half is cut off at 0


@pytest.fixture
def pixels():
    """Smooth pictures: of white noise JPEG would leave what rounding decides."""
    coarse = torch.rand(3, 1, 6, 6, generator=generator(1))
    return (torch.nn.functional.interpolate(coarse, size=(48, 48), mode="bilinear") * 255).byte()


@pytest.mark.parametrize("quality", [80, 15])
def test_jpeg_is_that_of_pillow(pixels, quality):
    found = compress(pixels, quality)
    assert found.dtype == torch.uint8
    for before, after in zip(pixels, found, strict=True):
        expected = reencoded(before.permute(1, 2, 0).numpy(), quality)
        assert after.permute(1, 2, 0).numpy().astype(int) == pytest.approx(expected.astype(int), abs=1)


def test_fewer_pixels_show_no_finest_stripes_and_keep_flat_ones():
    stripes = torch.zeros(1, 1, 32, 32)
    stripes[..., ::2] = 1
    assert coarsen(stripes, 0.5)[..., 4:-4].sub(0.5).abs().max() < 0.2
    broad = torch.zeros(1, 1, 32, 32)
    broad[..., 16:] = 1
    assert coarsen(broad, 0.5)[..., 22:].min() > 0.99
    assert coarsen(broad, 0.5)[..., :10].max() < 0.01


def test_as_many_pixels_are_the_same_picture():
    images = torch.rand(2, 3, 32, 32, generator=generator())
    assert torch.allclose(coarsen(images, 1.0), images, atol=1e-6)


def test_noise_draws_from_the_generator_alone():
    flat = torch.full((2, 1, 16, 16), 0.5)
    torch.manual_seed(0)
    first = sensor_noise(flat, 100.0, generator(3))
    torch.manual_seed(1)
    assert torch.equal(first, sensor_noise(flat, 100.0, generator(3)))
    assert not np.array_equal(first, sensor_noise(flat, 100.0, generator(4)))
