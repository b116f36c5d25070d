"""Single operations against torchvision's and PIL's, and what they may not do to a picture."""

from typing import get_args

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from PIL import Image, ImageEnhance, ImageOps

from ssl_pcb.augment.areas import own_region, shares_shown
from ssl_pcb.augment.geometric import boxes_in_view, warp
from ssl_pcb.augment.operations.apply import chained, change, change_at_random
from ssl_pcb.augment.operations.light import LIGHTS
from ssl_pcb.augment.operations.moves import MOVES
from ssl_pcb.config.operations import AugMixConfig, Operation, RandAugmentConfig

NAMES = get_args(Operation)
DEFAULTS = {*AugMixConfig().operations, *RandAugmentConfig().operations}
CAN_PUSH_OUT = {"rotate", "shear_x", "shear_y", "translate_x", "translate_y"}
SIZE = 40


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=4, channels=3, seed=0):
    """Whole grey values between 40 and 200, as of 8-bit files."""
    return torch.randint(40, 200, (count, channels, SIZE, SIZE), generator=generator(seed)).float() / 255


def test_every_operation_that_can_be_named_is_there():
    assert {*LIGHTS, *MOVES} == set(NAMES)
    assert len(LIGHTS) + len(MOVES) == len(NAMES)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("name", NAMES)
def test_shape_and_range_are_kept_at_full_strength(name, channels):
    images = torch.cat(
        [pictures(3, channels), torch.zeros(1, channels, SIZE, SIZE), torch.ones(1, channels, SIZE, SIZE)]
    )
    given = images.clone()
    for sign in (-1, 1):
        changed, maps = change(images, torch.full((5,), float(sign)), name)
        assert changed.shape == images.shape
        assert maps.shape == (5, 2, 3)
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert torch.isfinite(changed).all()
    assert torch.equal(images, given)  # a clean copy is kept beside


def whole_pixels(images):
    return [np.asarray((each * 255).round().byte().permute(1, 2, 0).squeeze()) for each in images]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "strength", "reference", "slack"),
    [
        ("autocontrast", 0.3, ImageOps.autocontrast, 1),
        ("equalize", 0.3, ImageOps.equalize, 1),
        ("posterize", 0.3, lambda image: ImageOps.posterize(image, 3), 0),
        ("posterize", 0.2, lambda image: ImageOps.posterize(image, 4), 0),
        ("posterize", 1.0, lambda image: ImageOps.posterize(image, 1), 0),
        ("solarize", 0.5, lambda image: ImageOps.solarize(image, 128), 0),
        ("brightness", 0.3, lambda image: ImageEnhance.Brightness(image).enhance(1.27), 1),
        ("brightness", -0.3, lambda image: ImageEnhance.Brightness(image).enhance(0.73), 1),
        ("contrast", 0.3, lambda image: ImageEnhance.Contrast(image).enhance(1.27), 1),
        ("color", -0.3, lambda image: ImageEnhance.Color(image).enhance(0.73), 1),
        ("sharpness", -1.0, lambda image: ImageEnhance.Sharpness(image).enhance(0.1), 1),
        ("sharpness", 0.3, lambda image: ImageEnhance.Sharpness(image).enhance(1.27), 1),
    ],
)
def test_light_equals_pils(name, strength, reference, slack, channels):
    images = pictures(2, channels)
    found = whole_pixels(change(images, torch.full((2,), strength), name)[0])
    for picture, ours in zip(whole_pixels(images), found, strict=True):
        theirs = np.asarray(reference(Image.fromarray(picture)))
        assert np.abs(theirs.astype(int) - ours).max() <= slack


@pytest.mark.parametrize(
    ("name", "strength", "keys"),
    [
        ("rotate", 0.5, {"angle": 15}),
        ("rotate", -1.0, {"angle": -30}),
        ("translate_x", 0.3, {"translate": [-SIZE * 0.1, 0]}),
        ("translate_y", -0.3, {"translate": [0, SIZE * 0.1]}),
    ],
)
def test_moves_equal_torchvisions_away_from_the_edge(name, strength, keys):
    images = F.gaussian_blur(pictures(1, 1), [5, 5])
    found = change(images, torch.tensor([strength]), name)[0]
    whole = {
        "angle": 0,
        "translate": [0, 0],
        "scale": 1,
        "shear": [0, 0],
        "interpolation": F.InterpolationMode.BILINEAR,
    }
    expected = F.affine(images, **(whole | keys))
    torch.testing.assert_close(found[..., 8:-8, 8:-8], expected[..., 8:-8, 8:-8], atol=2e-3, rtol=0)


def test_a_shear_moves_what_lies_above_the_centre_one_way_and_what_lies_below_the_other():
    _, maps = change(torch.zeros(1, 1, SIZE, SIZE), torch.tensor([1.0]), "shear_x")
    box = torch.tensor([[0.4, 0.1, 0.6, 0.2]])
    corners = boxes_in_view(box, maps, 1)[0]
    assert corners[:, 1].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert corners[0, 0].item() == pytest.approx(0.4 + 0.3 * 0.4)


@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.1, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_left_out_by_default_keeps_every_corner_in_view(name, strength):
    """Defects of 4 px in all corners, at full strength; the audit's measure."""
    spots = [(x, y, x + 0.1, y + 0.1) for x in (0, 0.9) for y in (0, 0.9)]
    _, maps = change(torch.zeros(1, 1, SIZE, SIZE), torch.tensor([strength]), name)
    shares = shares_shown(torch.tensor([spots]), maps, own_region(torch.device("cpu"), 0.0))
    assert (shares.min() > 1 - 1e-5) == (name not in CAN_PUSH_OUT)
    assert not CAN_PUSH_OUT & DEFAULTS


def contrast_left(name, strength, dark, bright):
    """Share of the contrast between a dark board and a bright defect that is left, on boards with a little noise."""
    board = torch.full((1, 1, SIZE, SIZE), dark)
    board[..., 20:] = bright  # as much copper as ground
    board += 0.02 * torch.randn(board.shape, generator=generator(5))
    changed, _ = change(board.clamp(0, 1), torch.tensor([strength]), name)
    return ((changed[..., 20:].mean() - changed[..., :20].mean()) / (bright - dark)).item()


@pytest.mark.parametrize(("dark", "bright"), [(0.1, 0.9), (0.3, 0.5), (0.05, 0.4)])
@pytest.mark.parametrize("name", sorted(DEFAULTS & LIGHTS.keys()))
def test_the_light_of_the_default_keeps_contrast_at_the_levels_that_are_drawn(name, dark, bright):
    strongest = max(AugMixConfig().severity, RandAugmentConfig().magnitude) / 10
    for strength in (-strongest, strongest):
        assert contrast_left(name, strength, dark, bright) > 0.7


def test_what_is_left_out_can_wipe_a_defect_out():
    assert contrast_left("solarize", 0.3, 0.1, 0.9) < 0.2
    assert contrast_left("posterize", 1.0, 0.1, 0.4) < 0.2
    assert not {"solarize", "posterize", "equalize"} & DEFAULTS


# Image and golden image -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("colours", [1, 3])
def test_golden_images_change_like_their_images(name, colours):
    """Where both are the same picture they stay the same, however they differ elsewhere."""
    pair = pictures(2, colours).repeat(1, 2, 1, 1)
    pair[:, :colours, 10:14, 10:14] = 1  # a defect, the brightest of both
    changed, maps = change(pair, torch.tensor([0.3, -0.8]), name)
    apart = (changed[:, :colours] - changed[:, colours:]).abs()
    stained = warp((pair[:, :colours] != pair[:, colours:]).float(), maps, SIZE) > 0
    if name == "sharpness":  # which looks at neighbours
        stained = torch.nn.functional.max_pool2d(stained.float(), 3, 1, 1) > 0
    assert (apart[~stained] < 1e-6).all()
    assert (apart[stained] > 0).any()


# Many at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 7, 16])
def test_each_picture_gets_one_operation_at_its_own_strength(count):
    names = ("brightness", "rotate_inside", "translate_x", "posterize", "shear_inside")
    images = pictures(count)
    strengths = torch.linspace(-1, -0.3, count)
    found, maps = change_at_random(images, strengths, names, generator(count))
    for index in range(count):
        single = [change(images[index : index + 1], strengths[index : index + 1], name) for name in names]
        same = [torch.allclose(found[index], each[0], atol=1e-6) for each, _ in single]
        assert any(same)
        assert torch.allclose(maps[index], single[same.index(True)][1][0], atol=1e-6)


def test_operations_are_drawn_alike_and_for_every_place_of_a_batch():
    names, count, batches = ("brightness", "translate_x", "shear_y"), 4, 1500
    images, source = torch.full((count, 1, 8, 8), 0.5), generator(1)
    drawn = torch.zeros(count, 3)
    for _ in range(batches):
        found, maps = change_at_random(images, torch.ones(count), names, source)
        which = torch.stack([found.amax((1, 2, 3)) > 0.6, maps[:, 0, 2] != 0, maps[:, 1, 0] != 0], 1)
        assert (which.sum(1) == 1).all()
        assert which.sum(0).max() <= 2  # of 4 pictures no operation gets more than 2
        drawn += which
    error = np.sqrt(2 / 9 / batches)
    assert (drawn / batches - 1 / 3).abs().max() < 4 * error


def test_chained_moves_are_one_move():
    images = F.gaussian_blur(pictures(3, 1), [5, 5])
    strengths = torch.tensor([0.3, -0.2, 0.5])
    once, first = change(images, strengths, "rotate_inside")
    twice, then = change(once, strengths, "shear_inside")
    corner = torch.tensor([[0.2, 0.3, 0.6, 0.4]]).repeat(3, 1)
    step = boxes_in_view(corner, first, 1)
    points = torch.cat([step * 2 - 1, torch.ones(3, 4, 1)], 2)
    stepped = (points[..., :2] - then[:, None, :, 2]) @ torch.linalg.inv(then[:, :, :2]).transpose(1, 2)
    torch.testing.assert_close(boxes_in_view(corner, chained(first, then), 1), (stepped + 1) / 2)
    direct = warp(images, chained(first, then), SIZE)
    assert (direct - twice)[..., 8:-8, 8:-8].abs().mean() < 0.01
