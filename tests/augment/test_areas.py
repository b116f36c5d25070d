"""Shares of boxes against counted points and against clipping by hand."""

import numpy as np
import pytest
import torch

from ssl_pcb.augment.areas import own_region, shares_shown
from ssl_pcb.augment.geometric import SYMMETRIES, draw_maps
from ssl_pcb.config.augment import GeometryConfig, RandomCropConfig

GEOMETRIES = {
    "standard": GeometryConfig(),
    "turned": GeometryConfig(rotation=180, translation=0.3, shrink=0.5),
    "cropped": GeometryConfig(random_crop=RandomCropConfig(), allow_crops=True),
    "symmetries": GeometryConfig(rotation=0, translation=0, shrink=0),
}


def clipped_share(box, view_map, region):
    """Sutherland and Hodgman 1974: the box, moved to the view, clipped by each side of the region."""
    x1, y1, x2, y2 = box
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) * 2 - 1
    moved = np.linalg.solve(view_map[:, :2], (corners - view_map[:, 2]).T).T
    polygon = [tuple(point) for point in (moved + 1) / 2]
    whole = shoelace(polygon)
    for axis, bound, outward in ((0, region[0], -1), (0, region[2], 1), (1, region[1], -1), (1, region[3], 1)):
        kept = []
        for start, end in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True):
            before, after = (outward * (point[axis] - bound) for point in (start, end))
            if before <= 0:
                kept.append(start)
            if before * after < 0:
                way = before / (before - after)
                kept.append(tuple(s + way * (e - s) for s, e in zip(start, end, strict=True)))
        polygon = kept
    return shoelace(polygon) / whole


def shoelace(polygon):
    pairs = zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)) / 2


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
@pytest.mark.parametrize("region", [(0.0, 0.0, 1.0, 1.0), (0.25, 0.125, 0.5, 0.875), (0.0, 0.5, 1.0, 0.75)], ids=str)
def test_shares_equal_those_of_clipped_polygons(geometry, region):
    generator = torch.Generator().manual_seed(0)
    maps = draw_maps(geometry, 60, generator)
    low = torch.rand(60, 3, 2, generator=generator) * 0.8
    boxes = torch.cat([low, low + 0.003 + 0.19 * torch.rand(60, 3, 2, generator=generator)], -1)
    found = shares_shown(boxes, maps, torch.tensor(region)).numpy()
    expected = [
        [clipped_share(box, view_map, region) for box in each]
        for each, view_map in zip(boxes.double().numpy(), maps.double().numpy(), strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert 0 < found.mean() <= 1


def test_clipping_by_hand_equals_counted_points():
    """The reference above is right: the share of points of a box that a region shows."""
    points = (np.mgrid[0:400, 0:400].reshape(2, -1).T + 0.5) / 400
    view_map, box, region = np.array([[0.9, 0.4, 0.1], [-0.3, 1.1, -0.2]]), (0.2, 0.3, 0.8, 0.6), (0.3, 0.1, 0.7, 0.5)
    inside = points * (np.array(box[2:]) - box[:2]) + box[:2]
    moved = (np.linalg.solve(view_map[:, :2], (inside * 2 - 1 - view_map[:, 2]).T).T + 1) / 2
    counted = ((moved > region[:2]) & (moved < region[2:])).all(1).mean()
    assert 0.1 < counted < 0.9
    assert clipped_share(box, view_map, region) == pytest.approx(counted, abs=5e-3)


def test_a_mirrored_sample_shows_its_box_on_the_other_side():
    left = torch.tensor([[[0.0, 0.0, 0.5, 1.0]]])
    maps = torch.tensor([[*map(float, SYMMETRIES[1][0]), 0.0], [*map(float, SYMMETRIES[1][1]), 0.0]])[None]
    assert shares_shown(left, maps, torch.tensor([0.5, 0.0, 1.0, 1.0])).item() == 1
    assert shares_shown(left, maps, torch.tensor([0.0, 0.0, 0.5, 1.0])).item() == 0


def test_without_a_box_or_a_region_there_is_nothing_to_show():
    boxes = torch.tensor([[[0.1, 0.1, 0.3, 0.2], [torch.nan] * 4]])
    shares = shares_shown(boxes, torch.eye(2, 3)[None], own_region(torch.device("cpu"), 0.0))
    assert shares[0, 0] == 1
    assert shares[0, 1].isnan()
    assert shares_shown(boxes, torch.eye(2, 3)[None], torch.tensor([0.2, 0.2, 0.2, 0.2]))[0, 0] == 0
