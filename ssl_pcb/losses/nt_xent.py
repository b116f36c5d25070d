"""NT-Xent with hard negatives of each sample's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.losses.whole_batch import gathered, shares


def nt_xent(
    first: Tensor, second: Tensor, negatives: Tensor | None, masked: Tensor | None, temperature: float
) -> Tensor:
    """The normalised temperature-scaled cross entropy, in which each anchor is also pushed away from its own negatives.

    NT-Xent is of Chen et al. 2020 (arXiv 2002.05709); locally changed copies as negatives are of Zou et al. 2022
    (SPD, arXiv 2207.14315). For the anchor :math:`z_i` with partner :math:`z_j` and own negatives :math:`n_{ik}`

    .. math:: -\\log \\frac{e^{z_i z_j / t}}{\\sum_{l \\ne i} e^{z_i z_l / t} + \\sum_k e^{z_i n_{ik} / t}}

    averaged over both views of all samples. Without negatives it equals lightly's ``NTXentLoss``, which picks its pairs
    by boolean masks, and for these a GPU's queue must run dry in every step. With several processes the views are
    gathered from all of them; own negatives stay where their anchor is.

    Args:
        first: (B, D) projections of the first views, of any length.
        second: (B, D), of the second views.
        negatives: (B, K, D), of the changed copies of each sample, or ``None``.
        masked: (B, K) bool, true where a copy is no negative; ``None`` = all are.
        temperature: t.
    """
    first, second = (F.normalize(each, dim=-1) for each in (first, second))
    others = torch.cat([gathered(first), gathered(second)])
    share, processes = shares()
    count = len(first) * processes
    own = torch.arange(len(first), device=first.device) + share * len(first)
    losses = []
    for anchors, itself, partner in ((first, own, own + count), (second, own + count, own)):
        alike = (anchors @ others.T / temperature).scatter(1, itself[:, None], -torch.inf)
        if negatives is not None:
            hard = torch.einsum("bd,bkd->bk", anchors, F.normalize(negatives, dim=-1)) / temperature
            alike = torch.cat([alike, hard if masked is None else hard.masked_fill(masked, -torch.inf)], 1)
        losses.append(F.cross_entropy(alike, partner))
    return torch.stack(losses).mean()
