"""What single views do to boxes and to the contrast inside them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.audit.pixels import BoxedSample, Neighbour
from ssl_pcb.augment.areas import own_region, shares_shown
from ssl_pcb.augment.geometric import boxes_in_view
from ssl_pcb.augment.views import ViewDraw, ViewMaker, plain_view
from ssl_pcb.imaging.tiling import area

Point = tuple[float, float]


def shares_in_view(boxes: Tensor, maps: Tensor, size: int, aside: float = 0.0) -> list[list[float]]:
    """Share of each box's area inside the view, for boxes (K, 4) under maps (V, 2, 3); V lists of K.

    Of a view's side, ``aside`` all round shows what surrounds the sample, and does not count.
    """
    each = (boxes / size).expand(len(maps), -1, -1)
    shares: list[list[float]] = shares_shown(each, maps, own_region(maps.device, aside)).tolist()
    return shares


def polygons_in_view(boxes: Tensor, maps: Tensor, size: int) -> list[list[list[Point]]]:
    """Corners of boxes (K, 4) in view pixels under maps (V, 2, 3); V lists of K."""
    corners = boxes_in_view(boxes.repeat(len(maps), 1), maps.repeat_interleave(len(boxes), 0), size)
    per_view = corners.view(len(maps), len(boxes), 4, 2).tolist()
    return [[[(x, y) for x, y in box] for box in view] for view in per_view]


def contrast_kept(sample: BoxedSample, maker: ViewMaker, draw: ViewDraw) -> list[float]:
    """RMS difference to the twin in each box and view, over that in the sample.

    Boxes in which sample and twin are alike are left out; without a twin that is all of them.
    """
    if sample.twin is None:
        return []
    pair = torch.stack([sample.pixels, sample.twin])
    upright = torch.eye(2, 3)[None]
    before = rms_in_boxes(plain_view(pair, maker.size)[:, None], sample.boxes, upright, maker.context)[0]
    views = torch.stack([maker.apply(image.expand(len(draw.maps), -1, -1, -1), draw) for image in pair])
    after = rms_in_boxes(views, sample.boxes, draw.maps, maker.context)
    return [float(share) for share in (after / before)[:, before > 0].flatten()]


def rms_in_boxes(pair: Tensor, boxes: Tensor, maps: Tensor, context: int = 0) -> Tensor:
    """RMS difference (V, K) of two stacked (V, C, S, S) batches in boxes (K, 4), or (V, K, 4), mapped to the views.

    What lies in the ``context``, pixels of each side that surround the samples, does not count.
    """
    squared = (pair[0] - pair[1]).square().mean(1)[:, None]
    grid = F.affine_grid(maps, [len(maps), 1, *squared.shape[-2:]], align_corners=False)
    x, y = ((grid + 1) * squared.shape[-1] / 2)[:, None].unbind(-1)
    x1, y1, x2, y2 = (each[..., None, None] for each in boxes.unbind(-1))
    seen = F.pad(torch.ones([each - 2 * context for each in x.shape[-2:]], dtype=torch.bool), [context] * 4)
    inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2) & seen
    mean: Tensor = (squared * inside).sum((2, 3)) / inside.sum((2, 3)).clamp(min=1)
    return mean.sqrt()


def brought_in(neighbour: Neighbour, maps: Tensor, size: int, aside: float) -> list[float]:
    """Share of a neighbour that each view shows beyond what the sample itself shows of it."""
    shown = torch.zeros(len(maps), dtype=torch.float64)
    for part, sign in ((neighbour.around, 1), (neighbour.own, -1)):
        if area(part) > 0:
            shown += sign * area(part) * torch.tensor(shares_in_view(torch.tensor([part]), maps, size, aside))[:, 0]
    return [float(share) for share in shown / area(neighbour.whole)]
