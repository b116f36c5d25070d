"""Who votes on a block, and what comes of it."""

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.data.golden.consensus import consensus, voters
from ssl_pcb.data.golden.likeness import Repeat
from tests.data.golden.conftest import board, opened_pool


def voted(*measures, surrounded=()):
    """Who votes of places with these measures: difference, surroundings, elsewhere, worst, inside."""
    places = [Repeat(number, 0, 0, *each) for number, each in enumerate(measures)]
    found, repeated = voters([places[each] for each in surrounded], places, 0.1)
    return [each.image for each in found], repeated


SAME, OTHER, ELSEWHERE = (0.02, 0.01, 0.02, 0.1, 0.01), (0.3, 0.01, 0.02, 0.9, 0.2), (0.02, 0.02, 0.3, 0.9, 0.2)
"""Alike in all; surrounded alike but other inside; elsewhere."""


def test_three_places_that_are_surrounded_alike_and_show_the_same_vote():
    assert voted(OTHER, SAME, SAME, SAME, ELSEWHERE, surrounded=range(5)) == ([1, 2, 3], True)
    assert voted(*[SAME] * 12, surrounded=range(12)) == (list(range(7)), True)
    nearer = [(0.02, 0.01 * (4 - number), 0.02, 0.1, 0.01) for number in range(4)]
    assert voted(*nearer, surrounded=range(4)) == ([3, 2, 1], True)


def test_what_stands_there_each_time_is_the_pattern_and_what_is_only_like_it_is_not():
    like = (0.02, 0.01, 0.02, 0.1, 0.05)
    assert voted(SAME, SAME, SAME, OTHER, OTHER, OTHER, surrounded=[3, 4, 5]) == ([0, 1, 2], True)
    assert voted(like, like, like, OTHER, OTHER, OTHER, surrounded=[3, 4, 5]) == ([3, 4, 5], True)
    assert voted(SAME, SAME, OTHER, OTHER, OTHER, surrounded=[2, 3, 4]) == ([2, 3, 4], True)
    assert voted(SAME, SAME, SAME, OTHER, OTHER, surrounded=[3, 4]) == ([0, 1, 2], False)


def test_where_nothing_is_repeated_the_most_alike_vote_and_others_no_worse_than_twice_the_best():
    def chosen(*differences):
        return voted(*((each, 0.5, 0.9, 0.9, 0.5) for each in differences), surrounded=[0])

    assert chosen(0.02, 0.01, 0.05, 0.09) == ([1, 0, 2], False)
    assert chosen(0.3, 0.7, 0.8) == ([0], False)
    assert chosen(0.5, 0.3, 0.55, 0.7) == ([1, 0, 2], False)
    assert chosen(0.06, 0.11, 0.115) == ([0, 1, 2], False)
    assert voters([], [], 0.1) == ([], False)


def test_an_image_has_one_vote_where_nothing_is_repeated():
    first, again, other = (Repeat(image, 0, down, *ELSEWHERE) for image, down in ((0, 5), (0, 6), (1, 5)))
    assert voters([first], [again, other], 0.1) == ([first], False)


@pytest.mark.parametrize("greys", [(0, 255), (90, 150), (100, 116)])
def test_what_is_repeated_does_not_depend_on_contrast(tmp_path, greys):
    """Boards that have nothing in common, and three that are one."""
    for number, seed in enumerate([100, 101, 102, 103, 104, 105, 105, 105, 105]):
        picture = np.where(board(seed, 400)[number : number + 384, :384] > 0, *reversed(greys)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    pool = opened_pool([tmp_path / f"{number}.png" for number in range(9)], 64)
    assert consensus(pool, 1).repeated <= 2
    assert consensus(pool, 6).repeated >= 20


def test_images_of_other_sizes_and_in_colour_are_searched_together(tmp_path):
    panel = board(3)
    Image.fromarray(panel[:200, :260]).save(tmp_path / "a.png")
    Image.fromarray(panel[30:130, 40:170]).convert("RGB").save(tmp_path / "b.png")
    pool = opened_pool([tmp_path / "a.png", tmp_path / "b.png"])
    made = consensus(pool, 1)
    assert made.picture.shape == (100, 130, 3)
    assert (made.picture[..., 0] != panel[30:130, 40:170]).mean() < 0.01
