"""Shifts and rotations against slices and formulas."""

import math

import numpy as np
import pytest
import torch

from ssl_pcb.audit.camera.moves import DIRECTIONS, askew, shifted

SIZE, MARGIN = 32, 6


@pytest.fixture
def pixels():
    side = SIZE + 2 * MARGIN
    return torch.randint(0, 256, (3, 2, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("distance", [0, 1, 4, MARGIN])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_shift_within_the_ring_shows_real_pixels(pixels, distance, direction):
    right, down = (step * distance for step in direction)
    found = shifted(pixels, SIZE, right, down)
    top, left = MARGIN + down, MARGIN + right
    assert torch.equal(found, pixels[..., top : top + SIZE, left : left + SIZE])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_beyond_the_ring_lies_the_mirror_image(pixels, direction):
    right, down = (step * 2 * MARGIN for step in direction)
    wide = np.pad(pixels.numpy(), ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), mode="symmetric")
    top, left = 2 * MARGIN + down, 2 * MARGIN + right
    assert np.array_equal(shifted(pixels, SIZE, right, down), wide[..., top : top + SIZE, left : left + SIZE])


@pytest.mark.parametrize("distance", [1, 2, 4, 8])
def test_there_and_back_is_the_same_where_both_overlap(distance):
    whole = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8)  # no ring
    there = shifted(whole, SIZE, distance, 0)
    back = shifted(there, SIZE, -distance, 0)
    assert torch.equal(back[..., distance:], whole[..., distance:])
    assert torch.equal(there[..., :-distance], whole[..., distance:])


def test_a_board_askew_is_turned_about_its_middle_and_brings_in_what_surrounds_it():
    side, degrees = SIZE + 2 * MARGIN, 3.0
    axis = np.arange(side) - (side - 1) / 2
    ramp = 127 + 2 * axis[None, :] + 1 * axis[:, None]
    pixels = torch.from_numpy(ramp).byte()[None, None].repeat(20, 1, 1, 1)
    found = askew(pixels, SIZE, degrees, torch.Generator().manual_seed(0)).double().numpy()[:, 0] * 255
    inner = np.arange(SIZE) - (SIZE - 1) / 2
    ways = []
    for sign in (1, -1):
        cos, sin = math.cos(math.radians(degrees)), sign * math.sin(math.radians(degrees))
        x = cos * inner[None, :] + sin * inner[:, None]
        y = -sin * inner[None, :] + cos * inner[:, None]
        ways.append(127 + 2 * x + y)
    taken = [min((0, 1), key=lambda way: np.abs(each - ways[way]).max()) for each in found]
    assert set(taken) == {0, 1}
    for each, way in zip(found, taken, strict=True):
        assert each == pytest.approx(ways[way], abs=1.01)  # the ramp was rounded to whole grey levels


def test_no_angle_is_no_turn(pixels):
    plain = pixels[..., MARGIN:-MARGIN, MARGIN:-MARGIN].float() / 255
    assert torch.allclose(askew(pixels, SIZE, 0.0, torch.Generator().manual_seed(0)), plain, atol=1e-4)
