"""Feature rows of length one, and the refusal of features that a diverged network made."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.errors import UserError


def finite_rows(features: ArrayLike) -> NDArray[np.float32]:
    """``features`` (N, D) as float32.

    Raises:
        UserError: If a value is NaN or infinite.
        ValueError: If the array is not two-dimensional.
    """
    rows = np.asarray(features, dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"features must be (N, D), got shape {rows.shape}")
    bad = int((~np.isfinite(rows).all(axis=1)).sum())
    if bad:
        raise UserError(
            f"features: {bad} of {len(rows)} rows hold NaN or infinite values; "
            "the network diverged: train it again with a lower learning rate"
        )
    return rows


def unit_rows(features: ArrayLike) -> NDArray[np.float32]:
    """Rows (N, D) scaled to length 1; an all-zero row stays zero. Raises as :func:`finite_rows`."""
    rows = finite_rows(features)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)
