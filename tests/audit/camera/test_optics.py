"""Blurs against scipy, and what they must leave as it is."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from ssl_pcb.audit.camera.optics import defocus, disk, lines, motion_blur

SIDE = 24


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(5, 3, SIDE, SIDE, generator=generator(1))


def covered(radius, fineness=400):
    """Shares of a disk by brute force."""
    side = 2 * max(1, math.ceil(radius - 0.5)) + 1
    axis = (np.arange(side * fineness) + 0.5) / fineness - side / 2
    inside = (axis[None] ** 2 + axis[:, None] ** 2 <= radius**2).astype(float)
    blocks = inside.reshape(side, fineness, side, fineness).mean((1, 3))
    return blocks / blocks.sum()


@pytest.mark.parametrize("radius", [0.4, 1, 1.5, 2, 3, 4])
def test_a_disk_covers_pixels_by_their_share(radius):
    assert disk(radius).numpy() == pytest.approx(covered(radius), abs=2e-3)
    assert disk(radius).sum().item() == pytest.approx(1, abs=1e-6)


def test_defocus_is_the_convolution_with_the_disk(images):
    found = defocus(images, 2.0).numpy()
    for picture, changed in zip(images.double().numpy(), found, strict=True):
        expected = [ndimage.convolve(channel, disk(2.0).double().numpy(), mode="mirror") for channel in picture]
        assert changed == pytest.approx(np.array(expected), abs=1e-5)


def test_blurs_keep_what_light_there_is():
    point = torch.zeros(4, 1, SIDE, SIDE)
    point[:, :, 12, 11] = 1
    for blurred in (defocus(point, 4.0), motion_blur(point, 10.0, generator())):
        assert blurred.sum((1, 2, 3)).numpy() == pytest.approx(1, abs=1e-5)
        rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        assert (blurred[:, 0] * rows).sum((1, 2)).numpy() == pytest.approx(12, abs=1e-3)
        assert (blurred[:, 0] * columns).sum((1, 2)).numpy() == pytest.approx(11, abs=1e-3)


def test_a_disk_within_a_pixel_changes_nothing(images):
    assert torch.allclose(defocus(images, 0.5), images, atol=1e-6)


@pytest.mark.parametrize("length", [2.0, 6.0, 10.0])
def test_a_line_is_as_long_as_the_movement_and_a_pixel_wide(length):
    angles = torch.tensor([0.0, math.pi / 2, math.pi / 4])
    kernels = lines(angles, length).double()
    steps = torch.arange(kernels.shape[-1]).double() - kernels.shape[-1] // 2
    across, down = ((kernels.sum(axis) * steps**2).sum(1).tolist() for axis in (1, 2))
    # Variance of a uniform line, and up to a quarter for being shared among whole pixels.
    assert length**2 / 12 <= across[0] <= length**2 / 12 + 0.25
    assert down[0] == pytest.approx(0, abs=1e-9)
    assert torch.allclose(kernels[1], kernels[0].T, atol=1e-6)
    assert across[2] == pytest.approx(down[2], rel=1e-5)
    assert kernels.sum((1, 2)).numpy() == pytest.approx(1, abs=1e-6)
    assert torch.allclose(kernels, kernels.flip(1, 2), atol=1e-6)


def test_each_board_moves_its_own_way():
    point = torch.zeros(6, 1, SIDE, SIDE)
    point[:, :, 12, 12] = 1
    blurred = motion_blur(point, 8.0, generator())
    assert len({tuple(each.flatten().tolist()) for each in blurred}) == 6
