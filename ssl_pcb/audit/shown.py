"""What augmented pictures show of defects, and what their labels say."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_pcb.audit.batches import AuditBatch
from ssl_pcb.audit.view_measures import rms_in_boxes
from ssl_pcb.augment.areas import own_region, shares_shown
from ssl_pcb.augment.augmented import Augmented, Mixture
from ssl_pcb.augment.mixing import HALF
from ssl_pcb.augment.views import plain_view


def own_shares(shown: Augmented, boxes: Tensor, aside: float = 0.0) -> Tensor:
    """Share (B, M) of each box (B, M, 4) that is left in its own picture; NaN where there is none.

    Of a picture's side, ``aside`` all round shows what surrounds the sample, and does not count.
    """
    whole, mixture = shares_shown(boxes, shown.maps, own_region(boxes.device, aside)), shown.mixture
    if mixture is None:
        return whole
    left = whole * mixture.share
    if mixture.pasted is not None:
        left = whole - shares_shown(boxes, shown.maps, mixture.pasted)
    return torch.where(_unmixed(mixture), whole, left)


def brought_shares(shown: Augmented, boxes: Tensor, aside: float = 0.0) -> Tensor:
    """Share (B, M) of each of the partner's boxes that came into a picture, likewise; NaN where there is none."""
    mixture = shown.mixture
    if mixture is None:
        return torch.full(boxes.shape[:2], torch.nan)
    where = own_region(boxes.device, aside) if mixture.pasted is None else mixture.pasted
    brought = shares_shown(boxes, shown.maps, where)
    if mixture.pasted is None:
        brought = brought * (1 - mixture.share)
    return torch.where(_unmixed(mixture), torch.nan, brought[mixture.partners])


def _unmixed(mixture: Mixture) -> Tensor:
    """(B, 1) bool: pictures whose partner is themselves."""
    return (mixture.partners == torch.arange(len(mixture.partners)))[:, None]


def defective_mass(shown: Augmented) -> Tensor:
    """(B,) how much of each picture's label is Defective, 0 to 1."""
    mass = shown.labels.float()
    if shown.mixture is None or shown.others is None:
        return mass
    return torch.lerp(shown.others.float(), mass, shown.mixture.share)


def wrong_mass(shown: Augmented, boxes: Tensor, aside: float = 0.0) -> Tensor:
    """(B,) how much of each picture's label is on the class that it does not show."""
    shows = (torch.cat([own_shares(shown, boxes, aside), brought_shares(shown, boxes, aside)], 1) >= HALF).any(1)
    if shown.painted is not None:
        shows = shows | shown.painted
    return (defective_mass(shown) - shows.float()).abs()


def contrast_in_boxes(
    shown: Augmented, clean: Augmented, batch: AuditBatch, size: int, context: int = 0
) -> list[float]:
    """RMS difference to the twin in each box of each picture, over that in the sample; of copies, in the changed ones.

    A defect that a partner brings into another's box counts as that one's contrast. It is rare.
    """
    boxes, upright = batch.boxes * size, torch.eye(2, 3).expand(len(batch.boxes), -1, -1)
    pair = torch.stack([plain_view(each, size) for each in (batch.pixels, batch.twins)])
    before = rms_in_boxes(pair, boxes, upright, context)
    pairs = zip(*(each.images.chunk(each.copies) for each in (shown, clean)), strict=True)
    after = torch.stack([rms_in_boxes(torch.stack(pair), boxes, shown.maps, context) for pair in pairs])
    if shown.copies > 1:
        after = after[1:]
    return [float(share) for share in (after / before)[:, (before > 0) & batch.marked[:, None]].flatten()]
