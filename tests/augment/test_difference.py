"""The difference to a golden image: planted ones are seen, edges a pixel off are not."""

import numpy as np
import pytest
import torch

from ssl_pcb.augment.difference import DIFFERENT, SAME, contrasted, difference, different


def board(side=24):
    """A picture of bright bars, 5 px wide."""
    picture = torch.zeros(1, 1, side, side)
    picture[..., 4:9] = 1
    picture[..., 14:19] = 1
    return picture


def test_it_equals_a_naive_loop():
    generator = torch.Generator().manual_seed(0)
    images, others = torch.rand(2, 3, 7, 9, generator=generator), torch.rand(2, 3, 7, 9, generator=generator)

    def beyond(one, other, y, x):
        around = other[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        return max(one[y, x] - around.max(), around.min() - one[y, x], 0)

    for sample in range(2):
        raw = np.zeros((7, 9))
        for y in range(7):
            for x in range(9):
                raw[y, x] = max(
                    beyond(one[sample, c].numpy(), other[sample, c].numpy(), y, x)
                    for c in range(3)
                    for one, other in ((images, others), (others, images))
                )
        padded = np.pad(raw, 1, mode="edge")
        expected = [[padded[y : y + 3, x : x + 3].mean() for x in range(9)] for y in range(7)]
        assert difference(images, others)[sample, 0].numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_what_only_one_of_the_two_shows_is_seen_on_both_sides():
    golden, broken = board(), board()
    broken[..., 8:14, 4:9] = 0  # a break in a bar
    bridged = board()
    bridged[..., 8:14, 9:14] = 1  # a bridge between them
    for image in (broken, bridged):
        for one, other in ((image, golden), (golden, image)):
            apart = difference(one, other)
            assert apart.max() > 0.9
            assert apart[..., :5, :].max() == 0  # and only where it is


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (-1, 1)])
def test_an_image_a_pixel_off_does_not_differ(shift):
    golden = board()
    moved = golden.roll(shift, (2, 3))
    assert difference(moved, golden)[..., 2:-2, 2:-2].max() == 0
    assert difference(golden.roll(3, 3), golden).max() > 0.5  # three are too many


@pytest.mark.parametrize("contrast", [1.0, 0.5, 0.2, 0.1])
def test_a_break_counts_on_faint_boards_too_and_their_grain_does_not(contrast):
    grain = 0.01 * torch.randn(2, 1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    golden, broken = contrast * board(), board()
    broken[..., 8:14, 4:9] = 0
    image = (contrast * broken + grain[0]).clamp(0, 1)
    apart = contrasted(image, (golden + grain[1]).clamp(0, 1))
    assert apart.max() >= DIFFERENT
    assert (apart[..., 17:, :] <= SAME).float().mean() > 0.9
    if contrast == 1:
        assert torch.equal(apart, difference(image, (golden + grain[1]).clamp(0, 1)))


def test_another_pattern_is_no_difference_to_learn_from_but_a_spot_is():
    """Half of the golden image shows something else; in the other half a defect differs."""
    golden = torch.zeros(1, 1, 64, 64)
    image = golden.clone()
    image[..., :24] = 1  # another pattern
    image[..., 30:36, 52:58] = 1  # a defect
    found = different(image, golden)[0, 0]
    assert found[30:36, 52:58].all()
    assert not found[:, :23].any()
    assert (difference(image, golden)[0, 0, :, :23] >= DIFFERENT).all()
