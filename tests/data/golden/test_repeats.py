"""Places that repeat a pattern are found, and what a block shows has no part in it."""

from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_pcb.data.golden.pool import Pool
from ssl_pcb.data.golden.repeats import repeats
from ssl_pcb.data.golden.stack import Stack
from ssl_pcb.imaging.tiling import tile_grid
from tests.data.golden.conftest import board, opened_pool


@pytest.mark.parametrize("shape", [(3, 4), (7, 9), (1, 1)])
@pytest.mark.parametrize("hidden", [False, True])
def test_squared_differences_are_those_of_a_naive_search(shape, hidden):
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(2, 7, 9, generator=rng)
    pattern = torch.rand(*shape, generator=rng)
    weight = torch.randint(0, 2, shape, generator=rng).float() if hidden else torch.ones(shape)
    found = Stack(images).squared_differences(pattern, weight)
    h, w = shape
    wanted = torch.stack(
        [
            torch.stack(
                [(weight * (each[y : y + h, x : x + w] - pattern) ** 2).sum() for x in range(each.shape[1] - w + 1)]
            )
            for each in images
            for y in range(each.shape[0] - h + 1)
        ]
    ).view(found.shape)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_repeat_is_found_to_the_pixel(folder):
    pool = opened_pool([folder / f"{number}.png" for number in range(9)])
    found = {each.image: each for each in repeats(pool, 4, (48, 48, 112, 112))[1]}
    assert 4 not in found
    for other in (2, 3, 5, 6):
        assert (found[other].down, found[other].across) == (-2 * (other - 4), 3 * (other - 4))
        assert found[other].difference < 0.1


def test_repeats_on_the_same_image_count_but_not_where_they_overlap_the_block(tmp_path):
    twice = np.tile(board(1, 96), (1, 3))
    Image.fromarray(twice).save(tmp_path / "twice.png")
    pool = opened_pool([tmp_path / "twice.png"])
    _, [found] = repeats(pool, 0, (0, 0, 64, 64))
    assert (found.across % 96, found.down, found.difference) == (0, 0, pytest.approx(0, abs=1e-6))
    assert found.across >= 64


@pytest.mark.parametrize(("block", "side"), [(128, 391), (100, 320)])
@pytest.mark.parametrize("shift", [(0, 0), (3, 7), (5, 4)])
def test_repeats_are_found_wherever_a_block_begins(tmp_path, block, side, shift):
    panel = board(4, 420)
    for name, (y, x) in (("here", (0, 0)), ("there", shift)):
        picture = panel[y : y + side, x : x + side].copy()
        picture[0, :9] = 90 if name == "there" else 60  # no exact copy
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    pool = opened_pool([tmp_path / "here.png", tmp_path / "there.png"], block)
    for x1, y1, x2, y2 in tile_grid(side, side, pool.block_of(0)):
        if y1 > pool.block_of(0) + 7 and x1 > pool.block_of(0) + 7:  # with its surroundings on both
            for places in repeats(pool, 0, (x1, y1, x2, y2)):
                [found] = [each for each in places if each.image == 1]
                assert found.difference < 1e-4
                assert (found.down, found.across) == (-shift[0], -shift[1])


def test_a_pattern_is_not_looked_for_in_images_too_small_for_it(tmp_path):
    panel = board(5)
    shapes = {"large": (200, 200), "other": (200, 240), "flat": (40, 240), "narrow": (240, 70)}
    for name, (height, width) in shapes.items():
        Image.fromarray(panel[:height, :width]).save(tmp_path / f"{name}.png")
    pool = opened_pool([tmp_path / f"{name}.png" for name in shapes], 64)
    for box in tile_grid(200, 200, pool.block_of(0)):
        for found in chain(*repeats(pool, 0, box)):
            height, width = pool.sizes[found.image]
            assert 0 <= box[0] + found.across <= width - box[2] + box[0]
            assert 0 <= box[1] + found.down <= height - box[3] + box[1]


def test_what_is_hidden_has_no_part_in_choosing_places(tmp_path):
    """The same places are found whatever the block shows."""
    panel = board(12, 420)
    spoilt = panel[:400, :400].copy()
    spoilt[147:257, 147:257] ^= 255
    for name, picture in {"a": panel[:400, :400], "b": panel[7:407, 11:411], "c": spoilt}.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    pool = Pool([tmp_path / f"{name}.png" for name in "abc"], 64, [1], bit_depth=8, max_pixels=10**9)
    block = (170, 170, 234, 234)
    clean, hidden = (repeats(pool, image, block)[0] for image in (0, 2))
    [[here], [there]] = ([each for each in places if each.image == 1] for places in (clean, hidden))
    assert (here.across, here.down, here.surroundings) == (there.across, there.down, there.surroundings) == (-11, -7, 0)
    assert here.inside == there.elsewhere == 0
    assert there.inside > 0.1


def test_edges_a_pixel_off_are_no_difference_and_spots_are(tmp_path):
    panel = np.full((400, 400), 255, np.uint8)
    panel[:, 195:215] = 0
    wider, spot = panel.copy(), panel.copy()
    wider[:, 194:215] = 0
    spot[190:210, 222:236] = 0
    for name, picture in {"a": panel, "wider": wider, "spot": spot}.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    pool = opened_pool([tmp_path / f"{name}.png" for name in ("a", "wider", "spot")], 64)
    found = {each.image: each for each in repeats(pool, 0, (170, 170, 234, 234))[0]}
    assert (found[1].worst, found[1].inside, found[1].elsewhere) == (0, 0, 0)
    assert found[2].worst > 0.7


def test_blocks_are_a_tenth_of_the_images_side_unless_they_are_given(tmp_path):
    for name, shape in {"a": (480, 640), "b": (640, 480), "c": (500, 500)}.items():
        Image.new("L", shape).save(tmp_path / f"{name}.png")
    files = [tmp_path / f"{name}.png" for name in "abc"]
    assert [opened_pool(files, block).block_of(0) for block in (None, 30, 300)] == [48, 30, 80]
