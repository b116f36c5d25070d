"""Light against formulas in float64."""

import numpy as np
import pytest
import torch
from scipy import constants

from ssl_pcb.audit.camera.light import GAMMA, WAVELENGTHS, brighten, darken, flatten_contrast, glare, slope_light, tint

SIDE = 40


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(8, 3, SIDE, SIDE, generator=generator(1))


def test_brightness_and_contrast_as_the_formulas_say(images):
    values = images.double().numpy()
    assert brighten(images, 0.3).numpy() == pytest.approx(np.clip(values + 0.3, 0, 1), abs=1e-6)
    assert darken(images, 0.3).numpy() == pytest.approx(np.clip(values - 0.3, 0, 1), abs=1e-6)
    mean = values.mean((1, 2, 3), keepdims=True)
    assert flatten_contrast(images, 0.35).numpy() == pytest.approx(mean + 0.35 * (values - mean), abs=1e-6)


def test_no_strength_is_no_change(images):
    for changed in (
        brighten(images, 0.0), darken(images, 0.0), flatten_contrast(images, 1.0),
        slope_light(images, 0.0, generator()), glare(images, 1e-9, generator()), tint(images, 0.0, generator()),
    ):  # fmt: skip
        assert torch.allclose(changed, images, atol=1e-6)


def test_a_slope_of_light_is_even_and_keeps_the_mean():
    flat = torch.full((50, 1, SIDE, SIDE), 0.5)
    lit = slope_light(flat, 0.4, generator()).double()[:, 0]
    assert lit.mean((1, 2)).numpy() == pytest.approx(0.5, abs=1e-6)
    for axis in (1, 2):
        assert lit.diff(n=2, dim=axis).abs().max() < 1e-6
    edge = 1 - 1 / SIDE  # the outermost pixels' centres
    assert lit.amax((1, 2)).numpy() == pytest.approx(0.5 * (1 + 0.4 * edge), abs=1e-6)
    assert lit.amin((1, 2)).numpy() == pytest.approx(0.5 * (1 - 0.4 * edge), abs=1e-6)
    steps = torch.stack([lit.diff(dim=axis).mean((1, 2)) for axis in (1, 2)], 1)
    assert {tuple((step > 0).tolist()) for step in steps} == {(a, b) for a in (True, False) for b in (True, False)}


def test_glare_is_white_out_to_half_its_radius_and_nothing_beyond_it(images):
    radius, draws = 0.3, generator(5)
    changed = glare(images, radius, generator(5)).double().numpy()
    x, y = (torch.rand(8, generator=draws).double().numpy() * SIDE for _ in range(2))
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    for before, after, across, down in zip(images.double().numpy(), changed, x, y, strict=True):
        distance = np.hypot(columns - across, rows - down) / SIDE
        assert (after[:, distance < radius / 2 - 1e-6] == 1).all()
        assert after[:, distance > radius + 1e-6] == pytest.approx(before[:, distance > radius + 1e-6], abs=1e-6)
        assert (after >= before - 1e-6).all()


def planck(wavelength, kelvin):
    power = constants.h * constants.c / (wavelength * constants.k * kelvin)
    return 2 * constants.h * constants.c**2 / wavelength**5 / np.expm1(power)


def test_colour_temperature_follows_planck():
    grey = torch.full((40, 3, 4, 4), 0.5)
    found = tint(grey, 80.0, generator()).double()[:, :, 0, 0].numpy()
    expected = []
    for mired in (80, -80):
        gains = np.array([planck(wave, 1e6 / (1e6 / 6500 + mired)) / planck(wave, 6500) for wave in WAVELENGTHS])
        expected.append(0.5 * (gains / gains[1]) ** (1 / GAMMA))
    warm, cool = expected
    assert warm[0] > 0.5 > warm[2]
    assert cool[0] < 0.5 < cool[2]
    is_warm = found[:, 0] > 0.5
    assert 5 < is_warm.sum() < 35
    assert found[is_warm] == pytest.approx(np.tile(warm, (is_warm.sum(), 1)), abs=1e-4)
    assert found[~is_warm] == pytest.approx(np.tile(cool, ((~is_warm).sum(), 1)), abs=1e-4)
