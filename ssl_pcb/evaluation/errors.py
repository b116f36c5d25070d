"""Which way a classifier errs: escapes and false calls by board and by defect type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def errors_by_name(verdicts: ArrayLike, labels: ArrayLike, names: Sequence[str]) -> pd.DataFrame:
    """Escapes and false calls of each name: of a board, say. REVIEW is neither.

    Args:
        verdicts: (N,) OK, REVIEW or NG.
        labels: (N,) in {0, 1}.
        names: (N,), several of one sample separated by ``;``; samples without one are left out.

    Returns:
        Rows ``name``, ``defective``, ``escapes``, ``good``, ``false_calls``, most escapes first.
    """
    called, classes = np.asarray(verdicts, dtype=str), np.asarray(labels)
    table = pd.DataFrame({
        "name": [sorted({*each.split(";")} - {""}) for each in names],
        "defective": classes == 1, "escapes": (classes == 1) & (called == "OK"),
        "good": classes == 0, "false_calls": (classes == 0) & (called == "NG"),
    })  # fmt: skip
    counted = table.explode("name").dropna(subset="name").groupby("name").sum().astype(np.int64).reset_index()
    return counted.sort_values(["escapes", "false_calls"], ascending=False, kind="stable").reset_index(drop=True)


def errs_how(escapes: int, defective: int, false_calls: int, good: int, unit: str) -> str:
    """One sentence on which of the two errors is the more frequent within its class."""
    missed, stopped = escapes / max(defective, 1), false_calls / max(good, 1)
    counts = (
        f"{escapes:,} of {defective:,} Defective {unit}s pass as good ({missed:.1%}), and {false_calls:,} of {good:,} "
        f"good ones are stopped ({stopped:.1%})"
    )
    if missed > 2 * stopped:
        return f"it errs by letting defects pass: {counts}"
    if stopped > 2 * missed:
        return f"it errs by stopping good {unit}s: {counts}"
    return f"it errs about as often either way: {counts}"
