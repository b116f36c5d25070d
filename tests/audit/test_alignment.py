"""How well pictures fit, against a naive version and changes whose kind is known."""

import io

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.audit.alignment import LEVELS, PARTS, fit_of, is_telling
from ssl_pcb.data.synthetic.sample import render_sample

CORRELATION, DIFFERENCE = 0.95, 20  # the defaults


def board(style="colour", index=0):
    image = render_sample(3, 1, index, image_size=128, style=style, defect_rate=1.0)
    greys = (Image.fromarray(each.squeeze()).convert("L") for each in (image.image, image.twin))
    return [np.asarray(grey, np.float32) for grey in greys]


def saved(picture, quality):
    held = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(held, "JPEG", quality=quality)
    return np.asarray(Image.open(held), np.float32)


def naive_fit(first, second):
    """The definition in float64, with numpy's own interpolation between the means."""

    def mapped(source, target):
        table = {}
        for value, other in zip(source.ravel(), target.ravel(), strict=True):
            table.setdefault(int(float(value) * LEVELS / 256), []).append((float(value), float(other)))
        knots = sorted(tuple(np.mean(some, axis=0)) for some in table.values())
        predicted = np.interp(source.ravel(), *np.transpose(knots))
        residual = (target.ravel() - predicted).reshape(target.shape)
        side = target.shape[0] // PARTS
        worst = max(
            np.sqrt((residual[y : y + side, x : x + side] ** 2).mean())
            for y in range(0, target.shape[0], side)
            for x in range(0, target.shape[1], side)
        )
        scale = max(first.std(), second.std()) / target.std()
        return np.sqrt(1 - (residual**2).mean() / target.astype(np.float64).var()), worst * scale

    there, back = mapped(first, second), mapped(second, first)
    return max(there[0], back[0]), min(there[1], back[1])


def test_a_fit_is_that_of_the_naive_version():
    first, second = np.random.default_rng(0).integers(0, 256, (2, 32, 32)).astype(np.float32)
    for other in (second, first * 0.5 + second * 0.2, np.minimum(first * 1.5, 255)):
        assert fit_of(first, other) == pytest.approx(naive_fit(first, other), rel=1e-4)


@pytest.mark.parametrize("style", ["colour", "binary"])
@pytest.mark.parametrize(
    "change",
    [
        lambda picture: saved(picture, 30),
        lambda picture: np.clip(picture * 1.5, 0, 255),
        lambda picture: picture * 0.5,
        lambda picture: 255 * (picture / 255) ** 0.5,
        lambda picture: saved(np.clip(picture * 1.4, 0, 255), 30),
    ],
    ids=["recompressed", "clipped", "darker", "gamma", "brighter and recompressed"],
)
def test_what_is_done_to_a_copy_leaves_it_one(style, change):
    picture, _ = board(style)
    fit = fit_of(picture, change(picture).astype(np.float32))
    assert fit.correlation > CORRELATION
    assert fit.difference < DIFFERENCE


@pytest.mark.parametrize("style", ["colour", "binary"])
def test_another_board_is_no_copy(style):
    (picture, _), (other, _) = board(style), board(style, index=1)
    fit = fit_of(picture, other)
    assert fit.correlation < CORRELATION
    assert fit.difference > DIFFERENCE


def test_the_same_place_with_a_defect_is_another_shot():
    fit = fit_of(*board("binary"))
    assert fit.correlation > 0.9
    assert fit.difference > DIFFERENCE


def test_a_pattern_that_repeats_a_pixel_aside_is_another_shot():
    picture, _ = board("binary")
    assert fit_of(picture[:, 1:], picture[:, :-1]).difference > DIFFERENCE


def test_darkness_does_not_hide_a_difference():
    picture, twin = board("binary")
    assert fit_of(picture * 0.1, twin).difference > DIFFERENCE


def test_small_and_long_pictures_are_fitted():
    picture = np.random.default_rng(0).integers(0, 256, (5, 128)).astype(np.float32)
    assert fit_of(picture, picture).difference < 3
    assert fit_of(picture, picture[::-1]).difference > DIFFERENCE


def edge(width):
    return np.where(np.arange(128) < width, 230.0, 20.0).astype(np.float32)[None].repeat(128, 0)


@pytest.mark.parametrize(
    "picture",
    [edge(40), edge(40).T, np.tril(edge(128)), edge(44) - edge(40)],
    ids=["edge", "level edge", "slanting edge", "trace"],
)
def test_a_plain_picture_that_fits_is_no_copy(picture):
    fit = fit_of(picture, picture * 0.8)
    assert fit.difference < DIFFERENCE
    assert not is_telling(picture, picture * 0.8, fit.difference)


@pytest.mark.parametrize("style", ["colour", "binary"])
def test_a_board_s_pattern_tells(style):
    picture, _ = board(style)
    other = saved(picture, 40)
    assert is_telling(picture, other, fit_of(picture, other).difference)


def test_one_plain_picture_of_two_is_enough():
    picture, _ = board("binary")
    assert is_telling(picture, picture, 0)
    assert not is_telling(picture, edge(40), 0)
    assert not is_telling(edge(40), picture, 0)


def test_narrow_pictures_can_be_asked():
    narrow = np.random.default_rng(0).integers(0, 256, (3, 128)).astype(np.float32)
    assert is_telling(narrow, narrow, 0)
