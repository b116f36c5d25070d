"""Representation health: has the network come to say the same of every image?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from ssl_pcb.evaluation.vectors import finite_rows, unit_rows

MIN_STD = 0.02
MIN_RANK = 2.0


def feature_std(features: ArrayLike) -> float:
    """Mean standard deviation of the dimensions of L2-normalised ``features`` (N, D), times sqrt(D).

    About 1 for features in all directions alike, 0 when all are one (Chen and He 2021,
    https://arxiv.org/abs/2011.10566, figure 2).

    Raises:
        UserError: On NaN features.
    """
    rows = unit_rows(features).astype(np.float64)
    return float(rows.std(axis=0).mean() * np.sqrt(rows.shape[1]))


def effective_rank(features: ArrayLike) -> float:
    """RankMe: exp of the entropy of the normalised singular values of ``features`` (N, D), uncentred.

    Between 1 (one direction) and min(N, D); 0 for features that are all zero. Roy and Vetterli 2007; Garrido
    et al. 2023, https://arxiv.org/abs/2210.02885.

    Raises:
        UserError: On NaN features.
    """
    rows = finite_rows(features).astype(np.float64)
    # The Gram matrix's eigenvalues are the squared singular values, at a fraction of the cost of an SVD.
    gram = rows.T @ rows if rows.shape[0] >= rows.shape[1] else rows @ rows.T
    singular = np.sqrt(np.linalg.eigvalsh(gram).clip(0))
    total = singular.sum()
    return float(np.exp(entr(singular / total).sum())) if total > 0 else 0.0


def collapse_warning(std: float, rank: float, dim: int) -> str | None:
    """One line if the representation has collapsed, else ``None``.

    Args:
        std: From :func:`feature_std`.
        rank: From :func:`effective_rank`.
        dim: Number of feature dimensions.
    """
    if std < MIN_STD:
        return (
            f"the features have collapsed: all images look the same to the network (feature std {std:.3f}, "
            "healthy is 0.1 to 1); lower the learning rate or strengthen the augmentations"
        )
    if rank < MIN_RANK and dim > MIN_RANK:
        return (
            f"the features have collapsed to about {rank:.1f} of {dim} directions (effective rank); "
            "train longer, lower the learning rate or use a larger batch"
        )
    return None
