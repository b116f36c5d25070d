"""Views against a naive resampler, and the promise that no sample leaves its view."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from ssl_pcb.augment.geometric import SYMMETRIES, boxes_in_view, draw_maps, warp
from ssl_pcb.config.augment import GeometryConfig, RandomCropConfig

SIZE, MARGIN = 24, 5
CROPS = RandomCropConfig()


def draw(config, count=8, seed=0):
    return draw_maps(config, count, torch.Generator().manual_seed(seed))


def naive_warp(image, linear_map, size):
    """One (H, H) image through one (2, 3) map, by scipy."""
    out = np.zeros((size, size))
    centres = (2 * np.arange(size) + 1) / size - 1
    v, u = np.meshgrid(centres, centres, indexing="ij")
    x, y = np.einsum("ij,jhw->ihw", linear_map[:, :2], np.stack([u, v])) + linear_map[:, 2, None, None]
    margin = (len(image) - size) // 2
    column, row = ((axis + 1) * size / 2 - 0.5 + margin for axis in (x, y))
    return ndimage.map_coordinates(image, [row, column], out, order=1, mode="reflect")


@pytest.mark.parametrize("margin", [0, MARGIN])
@pytest.mark.parametrize(
    "config",
    [
        GeometryConfig(),
        GeometryConfig(symmetries=False, rotation=180, translation=0.3, shrink=0.5),
        GeometryConfig(random_crop=CROPS, allow_crops=True),
    ],
)
def test_warp_equals_a_naive_resampler(config, margin):
    images = torch.rand(8, 3, SIZE + 2 * margin, SIZE + 2 * margin, generator=torch.Generator().manual_seed(1))
    maps = draw(config)
    views = warp(images, maps, SIZE).double().numpy()
    for image, linear_map, view in zip(images.double().numpy(), maps.double().numpy(), views, strict=True):
        for channel in range(3):
            np.testing.assert_allclose(view[channel], naive_warp(image[channel], linear_map, SIZE), atol=2e-4)


def test_the_eight_symmetries_are_the_flips_and_turns_of_the_square():
    image = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    flat = image[0, 0].numpy()
    expected = [np.rot90(side, turns) for side in (flat, flat.T) for turns in range(4)]
    found = []
    for matrix in SYMMETRIES:
        linear_map = torch.cat([torch.tensor(matrix, dtype=torch.float32), torch.zeros(2, 1)], 1)
        view = warp(image, linear_map[None], SIZE)[0, 0].numpy()
        found += [i for i, other in enumerate(expected) if np.abs(view - other).max() < 1e-5]
    assert sorted(found) == list(range(8))


def test_with_strengths_zero_only_the_symmetries_are_drawn():
    still = GeometryConfig(rotation=0, translation=0, shrink=0)
    seen = {tuple(matrix.flatten().tolist()) for matrix in draw(still, 400)[:, :, :2].round()}
    assert seen == {tuple(float(v) for row in matrix for v in row) for matrix in SYMMETRIES}
    assert torch.equal(draw(still.model_copy(update={"symmetries": False}), 5), torch.eye(2, 3).expand(5, 2, 3))


@settings(max_examples=60, deadline=None)
@given(
    rotation=st.floats(0, 180),
    translation=st.floats(0, 0.49),
    shrink=st.floats(0, 0.99),
    symmetries=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_the_whole_sample_stays_in_the_view(rotation, translation, shrink, symmetries, seed):
    config = GeometryConfig(rotation=rotation, translation=translation, shrink=shrink, symmetries=symmetries)
    maps = draw(config, 64, seed).double()
    corners = boxes_in_view(torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(64, 1), maps, 1)
    assert corners.min() > -1e-5
    assert corners.max() < 1 + 1e-5


def test_strengths_bound_what_is_drawn():
    maps = draw(GeometryConfig(symmetries=False, rotation=20, translation=0.1, shrink=0), 2000)
    forward = torch.linalg.inv(maps[:, :, :2])
    angle = torch.rad2deg(torch.atan2(forward[:, 1, 0], forward[:, 0, 0]))
    assert angle.abs().max() <= 20.001
    assert angle.min() < -18
    assert angle.max() > 18
    centre = boxes_in_view(torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(2000, 1), maps, 1).mean(1)
    assert 0.095 < (centre - 0.5).abs().max() < 0.1001
    # Without shrinking, the turned and shifted sample touches the view's edge: it is as large as it can be.
    corners = boxes_in_view(torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(2000, 1), maps, 1)
    slack = torch.minimum(corners.amin((1, 2)), 1 - corners.amax((1, 2)))
    assert slack.max() < 1e-4


@pytest.mark.parametrize(
    "config",
    [GeometryConfig(rotation=40, translation=0.1), GeometryConfig(random_crop=CROPS, allow_crops=True)],
)
def test_boxes_in_view_are_where_painted_pixels_land(config):
    size, count, ring = 64, 40, 32  # a ring so wide that no mirror image of the box is seen
    box = torch.tensor([[18.0, 30.0, 30.0, 34.0]])
    images = torch.zeros(count, 1, size + 2 * ring, size + 2 * ring)
    images[:, :, 30 + ring : 34 + ring, 18 + ring : 30 + ring] = 1
    maps = draw(config, count, 3)
    views = warp(images, maps, size)[:, 0]
    corners = boxes_in_view(box.repeat(count, 1), maps, size)
    checked = 0
    for view, outline in zip(views, corners, strict=True):
        if outline.min() < 1 or outline.max() > size - 1:
            continue
        checked += 1
        rows, columns = torch.nonzero(view > 0.5, as_tuple=True)
        middle = torch.stack([columns.float().mean(), rows.float().mean()]) + 0.5
        torch.testing.assert_close(middle, outline.mean(0), atol=0.5, rtol=0)
        for axis, places in enumerate((columns, rows)):
            low, high = outline[:, axis].min(), outline[:, axis].max()
            assert abs(places.min() - low) < 1.6
            assert abs(places.max() + 1 - high) < 1.6
    assert checked >= 10


def test_random_crops_keep_the_areas_asked_for_and_lie_inside_the_sample():
    config = GeometryConfig(random_crop=RandomCropConfig(min_area=0.2, max_area=0.6), allow_crops=True)
    maps = draw(config, 2000).double()
    view_corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], dtype=torch.float64)
    assert (view_corners @ maps.transpose(1, 2)).abs().max() < 1 + 1e-5
    area = torch.linalg.det(maps[:, :, :2]).abs()
    assert 0.2 - 1e-5 < area.min() < 0.21
    assert 0.59 < area.max() < 0.6 + 1e-5


def test_random_crops_need_allow_crops():
    with pytest.raises(ValidationError, match=r"random_crop can cut the defect out.*allow_crops=true"):
        GeometryConfig(random_crop=CROPS)
    maps = draw(GeometryConfig(random_crop=CROPS, allow_crops=True), 200)
    corners = boxes_in_view(torch.tensor([[0.0, 0.0, 0.1, 0.1]]).repeat(200, 1), maps, 1)
    lost = (corners.amax(1) < 0).any(1) | (corners.amin(1) > 1).any(1)
    assert lost.float().mean() > 0.3
