"""What is measured of samples and their files, against naive versions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.audit.blanking import blank
from ssl_pcb.audit.content import CONTENT, LARGEST, content_of, lossless_bytes
from ssl_pcb.audit.looking import look_at_file
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Sample
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.floors import otsu_threshold
from ssl_pcb.imaging.resize import resize

RNG = np.random.default_rng(0)
GREY = DataConfig(channels=1, bit_depth=8)


def measured(pixels, threshold=128):
    return dict(zip(CONTENT, content_of(pixels, threshold), strict=True))


def test_content_is_that_of_a_naive_version():
    pixels = RNG.integers(0, 256, (12, 15, 1), np.uint8)
    plane = pixels[..., 0].astype(np.float64)
    padded = np.pad(plane, 1, mode="edge")
    laplace = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * plane
    bright = plane > 128
    edges = sum(bright[y, x] != bright[y, x + 1] for y in range(12) for x in range(14))
    edges += sum(bright[y, x] != bright[y + 1, x] for y in range(11) for x in range(15))
    found = measured(pixels)
    assert found["grey levels"] == len(np.unique(plane))
    assert found["brightness"] == pytest.approx(plane.mean(), rel=1e-5)
    assert found["contrast"] == pytest.approx(plane.std(), rel=1e-5)
    assert found["sharpness"] == pytest.approx(laplace.var(), rel=1e-4)
    assert found["copper edges"] == pytest.approx(edges / (12 * 14 + 11 * 15))
    assert np.isnan([found["red"], found["blue"]]).all()


def test_colour_is_the_distance_from_grey():
    found = measured(np.full((8, 8, 3), (200, 100, 50), np.uint8))
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert found["red"] == pytest.approx(200 - luma, abs=1)
    assert found["blue"] == pytest.approx(50 - luma, abs=1)


def test_large_pictures_are_measured_reduced():
    wide = RNG.integers(0, 256, (8, 2 * LARGEST, 1), np.uint8)
    reduced = resize(wide, 4, LARGEST)
    assert content_of(wide, 128) == pytest.approx(content_of(reduced, 128), nan_ok=True)
    assert lossless_bytes(wide) == lossless_bytes(reduced) < 4 * LARGEST + 200


def look(path, boxes, crop=None, label=1):
    places = [[(x1 / 32, y1 / 32, x2 / 32, y2 / 32) for x1, y1, x2, y2 in boxes]]
    return look_at_file([Sample(0, path, label, "", "", crop, [], [])], places, GREY)[0]


@pytest.fixture
def file(tmp_path):
    """64 x 64 pixels of 4 grey levels, and a spot of 16 others."""
    pixels = RNG.choice([10, 90, 160, 240], (64, 64)).astype(np.uint8)
    pixels[40:44, 40:44] = np.arange(100, 116).reshape(4, 4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_blanked_spot_leaves_the_file_with_its_other_grey_levels(file):
    found = look(file, [(8, 8, 12, 12)], (32, 32, 64, 64))
    assert found.levels == 20
    pixels = np.asarray(Image.open(file))[32:, 32:, None]
    blanked = blank(pixels, [(0.25, 0.25, 0.375, 0.375)])
    without = np.asarray(Image.open(file)).copy()
    without[32:, 32:] = blanked[..., 0]
    assert found.blanked_levels == len(np.unique(without)) <= 5
    threshold = otsu_threshold(np.asarray(Image.open(file)))
    assert found.blanked == pytest.approx(content_of(blanked, threshold), nan_ok=True)
    assert 0.9 < found.bytes_left < 1


def test_bytes_left_are_about_those_of_the_blanked_file(file):
    boxes = [(0, 0, 16, 32)]  # half of what a sample of the whole file shows
    whole = np.asarray(Image.open(file))[..., None]
    found = look(file, boxes)
    saved = lossless_bytes(blank(whole, [(0, 0, 0.5, 1)])) / lossless_bytes(whole)
    assert found.bytes_left == pytest.approx(saved)
    assert 0.4 < found.bytes_left < 0.7


def test_without_places_nothing_is_blanked(file):
    found = look(file, [])
    assert np.isnan([*found.blanked, found.blanked_levels, found.bytes_left]).all()


def test_a_crop_outside_and_a_file_that_is_not_there_are_refused(file):
    with pytest.raises(UserError, match="crop 0 0 65 64 is not inside the image of 64x64 px"):
        look(file, [], (0, 0, 65, 64))
    with pytest.raises(UserError, match=r"none\.png: cannot be read"):
        look(Path("none.png"), [])
