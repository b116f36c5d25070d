"""Defects blanked, and places as large in clean samples."""

from pathlib import Path

import numpy as np

from ssl_pcb.audit.blanking import OUTSET, blank, blanked_places
from ssl_pcb.data.manifest import Sample

SIZE = (100, 50)


def sample(label, boxes=(), crop=None):
    return Sample(0, Path("a.png"), label, "", "", crop, list(boxes), [])


def places(*samples, seed=0):
    return blanked_places(samples, [SIZE] * len(samples), np.random.default_rng(seed))


def test_a_defective_sample_loses_what_it_shows_of_its_boxes():
    whole, part = places(sample(1, [(10, 10, 20, 20)]), sample(1, [(10, 10, 20, 20), (90, 0, 95, 5)], (15, 0, 65, 50)))
    assert whole == [(0.1, 0.2, 0.2, 0.4)]
    assert part == [(0.0, 0.2, 0.1, 0.4)]


def test_clean_samples_lose_places_of_defective_ones():
    defective = [sample(1, [(10, 10, 20, 20)]), sample(1, [(60, 30, 90, 40), (0, 0, 5, 5)])]
    found = places(*defective, *[sample(0) for _ in range(200)])
    drawn = [found[2:].count(boxes) for boxes in found[:2]]
    assert sum(drawn) == 200
    assert min(drawn) > 60  # either of the two, about evenly


def test_boxes_of_clean_samples_are_none_of_theirs():
    assert places(sample(1, [(10, 10, 20, 20)]), sample(0, [(0, 0, 50, 50)]))[1] == [(0.1, 0.2, 0.2, 0.4)]


def test_without_boxes_nothing_is_blanked():
    assert places(sample(1), sample(0)) == [[], []]
    assert places(sample(1), sample(1, [(0, 0, 50, 25)]), sample(0)) == [[], [(0, 0, 0.5, 0.5)], [(0, 0, 0.5, 0.5)]]


def test_the_median_colour_covers_the_place_and_nothing_else():
    pixels = np.full((40, 40, 3), (10, 20, 30), np.uint8)
    pixels[10:20, 10:20] = 200
    blanked = blank(pixels, [(0.25, 0.25, 0.5, 0.5)])
    assert (blanked == (10, 20, 30)).all()
    other = blank(pixels, [(0.75, 0.75, 1, 1)])
    assert (other[: 30 - OUTSET] == pixels[: 30 - OUTSET]).all()
    assert (pixels[10:20, 10:20] == 200).all()
