"""Pictures that come back from their text."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.reports.page.pictures import heat_legend, heat_picture, picture, sheet, shrunk


def opened(uri):
    kind, _, text = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_keeps_what_it_shows(channels):
    pixels = np.full((40, 40, channels), 30, np.uint8)
    pixels[10:20, 25:35] = 220
    shown = np.asarray(opened(picture(pixels, 160)).convert("L"), float)
    assert shown.shape == (40, 40)
    assert shown[12:18, 27:33].mean() > 200 > 60 > shown[30:, :20].mean()


def test_a_large_picture_is_made_smaller_with_its_proportions(tmp_path):
    assert opened(picture(np.zeros((300, 300, 1), np.uint8), 100)).size == (100, 100)
    Image.new("RGB", (400, 100)).save(tmp_path / "s.png")
    assert opened(sheet(tmp_path / "s.png", 200)).size == (200, 50)


def test_the_hotter_the_less_transparent():
    heat = np.zeros((8, 8), np.float32)
    heat[2:6, 2:6] = 1
    shown = np.asarray(opened(heat_picture(heat, 8)).convert("RGBA"), float)
    assert shown[4, 4, 3] > 200
    assert shown[0, 0, 3] < 40


def test_the_legend_grows_brighter_from_what_pictures_are_without_heat():
    shown = np.asarray(opened(heat_legend()).convert("L"), float)
    white, black = shown[4, 8:-8], shown[-4, 8:-8]
    assert white[0] > 240
    assert black[0] < 15
    assert (np.diff(black[::8]) > -2).all()
    assert white[-1] > 200
    assert black[-1] > 150


def test_a_picture_is_shrunk_and_never_enlarged():
    large = picture(np.full((200, 200, 3), 90, np.uint8), 256)
    assert opened(shrunk(large, 50)).size == (50, 50)
    assert shrunk(large, 300) == large
