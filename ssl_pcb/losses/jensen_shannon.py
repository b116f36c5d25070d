"""How far several predictions of one picture lie apart."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.losses.precision import at_least_float32


def jensen_shannon(logits: Tensor) -> Tensor:
    """Jensen-Shannon divergence of each picture's predictions, of AugMix (Hendrycks et al. 2020, arXiv 1912.02781).

    The mean over the copies of the Kullback-Leibler divergence of each one's softmax from the mean of them all: 0 where
    they agree, at most log N. Computed from logarithms, it needs no least probability, as the authors' code has it.

    Args:
        logits: (N, B, K) of N copies of each picture.

    Returns:
        Mean over the pictures: a scalar.
    """
    copies, pictures, _ = logits.shape
    log_shares = at_least_float32(logits).log_softmax(-1)
    log_mixture = torch.logsumexp(log_shares, 0) - math.log(copies)
    apart = F.kl_div(log_mixture.expand_as(log_shares), log_shares, reduction="sum", log_target=True)
    return apart / (copies * pictures)
