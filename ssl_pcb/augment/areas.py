"""How much of a box a view shows: exact areas, for whole batches."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def own_region(device: torch.device, aside: float) -> Tensor:  # copied to a GPU once: it would wait for each copy
    """What of a view is the sample's own place, ``x1 y1 x2 y2``: all but ``aside``, a share of its side, all round."""
    return torch.tensor([aside, aside, 1 - aside, 1 - aside], device=device)


def shares_shown(boxes: Tensor, maps: Tensor, region: Tensor) -> Tensor:
    """Share of each box's area that lies in a region of the view of its sample.

    The region is taken to the sample, where it is a parallelogram and the box upright; an affine map changes no share.

    Args:
        boxes: (B, M, 4) ``x1 y1 x2 y2`` in shares of the sample's side; NaN where there is none.
        maps: (B, 2, 3) from view to sample, as :func:`ssl_pcb.augment.geometric.draw_maps` has them.
        region: (4,) ``x1 y1 x2 y2`` in shares of the view's side; without area it shows nothing.

    Returns:
        (B, M) float64, 0 to 1; NaN where there is no box.
    """
    # Both coordinates of a small box in a large sample are nearly equal: float32 would leave few digits of its area.
    boxes, maps = boxes.double(), maps.double()
    x1, y1, x2, y2 = region.double().unbind()
    corners = torch.stack([x1, y1, x2, y1, x2, y2, x1, y2]).view(4, 2) * 2 - 1
    outline = ((corners @ maps[:, :, :2].transpose(1, 2) + maps[:, None, :, 2]) + 1) / 2
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    return _area_in_unit_square((outline[:, None] - low) / (high - low))


def _area_in_unit_square(outline: Tensor) -> Tensor:
    """Area (...,) that convex polygons (..., K, 2) share with the square from (0, 0) to (1, 1).

    By Green's theorem it is the sum over the edges of the integral of x, held to 0 and 1, along y from 0 to 1.
    """
    (x, y), (next_x, next_y) = outline.unbind(-1), outline.roll(-1, -2).unbind(-1)
    rise = next_y - y
    slope = (next_x - x) / torch.where(rise == 0, 1, rise)  # a level edge adds nothing, whatever its slope
    low, high = y.clamp(0, 1), next_y.clamp(0, 1)
    start, end = x + (low - y) * slope, x + (high - y) * slope
    run = end - start
    steep = run.abs() < 1e-9
    mean = torch.where(
        steep,
        ((start + end) / 2).clamp(0, 1),
        (_integral_of_held(end) - _integral_of_held(start)) / torch.where(steep, 1, run),
    )
    return ((high - low) * mean).sum(-1).abs()


def _integral_of_held(x: Tensor) -> Tensor:
    """The integral from 0 to x of what is held to 0 and 1."""
    return x.clamp(0, 1).square() / 2 + (x - 1).clamp(min=0)
