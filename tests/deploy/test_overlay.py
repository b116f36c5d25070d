"""A judged image as a picture: maps and outlines lie where the pixels lie that they speak of."""

import numpy as np
import pytest

from ssl_pcb.deploy.items import Item
from ssl_pcb.deploy.overlay import COLOURS, LEAST, MOST, overlay
from ssl_pcb.deploy.predictor import Outputs, Predictor
from tests.deploy.conftest import facts


def brightest(pixels):
    """A heat map that is 1 where a sample is white."""
    return (pixels[:, 0] > 200).astype(np.float32)


def drawn(image, crop=None, heats=brightest, **changes):
    """The picture of an image whose white places are the defects, as floats."""
    network = lambda pixels: Outputs(pixels.mean((1, 2, 3), dtype=np.float64) - 100, None)  # noqa: E731
    predictor = Predictor(facts(**changes), network, heats)
    item = Item("a", image, crop)
    (found,) = predictor([item])
    return np.asarray(overlay(predictor, item, found)).astype(float), found


def warm(picture):
    """(H, W): whether heat lies there, whose yellow no grey has."""
    return picture[..., 0] - picture[..., 2] > 60


def shares(mask):
    """First and last row and column of what is set, in shares of the sides."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    height, width = mask.shape
    return rows[0] / height, (rows[-1] + 1) / height, columns[0] / width, (columns[-1] + 1) / width


@pytest.mark.parametrize("tile", [None, 32])
@pytest.mark.parametrize(("height", "width"), [(96, 96), (64, 160), (120, 40)])
def test_the_map_lies_over_the_defect_whatever_the_image_and_its_windows(tile, height, width):
    image = np.full((height, width), 10, np.uint8)
    image[16:32, 8:24] = 255
    picture, found = drawn(image, tile=tile, image_size=96 if tile is None else 32, operating={"low": 500, "high": 500})
    assert found.suspects == ()
    expected = 16 / height, 32 / height, 8 / width, 24 / width
    assert shares(warm(picture)) == pytest.approx(expected, abs=3 / min(height, width))


def test_where_windows_overlap_the_highest_is_shown():
    calls = iter([0.2, 0.9, 0.4, 0.1, 0.3, 0.1, 0.1, 0.2, 0.1])

    def heats(pixels):
        return np.stack([np.full(pixels.shape[2:], next(calls), np.float32) for _ in pixels])

    picture, found = drawn(np.full((64, 64), 10, np.uint8), heats=heats, tile=32, operating={"low": 500, "high": 500})
    assert found.windows == 9
    brightness = picture.sum(-1)
    side = len(brightness)
    assert brightness[side // 8, side * 3 // 8] == brightness.max()  # of the first two windows the second
    assert brightness[side // 8, side // 8] < brightness.max()


def test_suspects_are_outlined_in_the_colour_of_their_verdict():
    image = np.full((128, 128), 10, np.uint8)
    image[0:32, 0:32] = 200
    image[96:128, 64:96] = 90
    picture, found = drawn(image, heats=None, tile=32)
    assert sorted(each.verdict for each in found.suspects) == ["NG", "REVIEW"]
    for suspect in found.suspects:
        line = (picture == COLOURS[suspect.verdict]).all(-1)
        x1, y1, x2, y2 = suspect.box
        assert shares(line) == pytest.approx((y1 / 128, y2 / 128, x1 / 128, x2 / 128), abs=0.01)


def test_only_the_judged_part_is_shown():
    image = np.full((100, 100), 10, np.uint8)
    image[50:60, 50:60] = 255
    picture, _ = drawn(image, (40.0, 40.0, 80.0, 80.0), operating={"low": 500, "high": 500})
    assert shares(warm(picture)) == pytest.approx((0.25, 0.5, 0.25, 0.5), abs=0.1)


@pytest.mark.parametrize(("side", "shown"), [(16, LEAST), (LEAST, LEAST), (700, 700), (2000, MOST)])
def test_small_images_are_enlarged_and_large_ones_shrunk(side, shown):
    picture, _ = drawn(np.full((side, side // 2), 10, np.uint8), max_pixels=10**7)
    assert picture.shape == (shown, shown // 2, 3)
