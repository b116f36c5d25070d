"""Cells of the results' tables."""

from __future__ import annotations

import pandas as pd


def over_seeds(values: pd.Series, form: str = ".3f") -> str:
    """The mean with the range, where there are several seeds; empty where there is none."""
    if len(values) < 2:
        return "".join(f"{value:{form}}" for value in values)
    return f"{values.mean():{form}} ({len(values)} seeds, {values.min():{form}} to {values.max():{form}})"


def cell(rows: pd.DataFrame, metric: str, form: str = ".3f") -> str:
    """The same of a column; of one seed the value with the interval beside it, in ``_low`` and ``_high``."""
    if len(rows) != 1:
        return over_seeds(rows[metric], form)
    value, low, high = (rows[f"{metric}{end}"].iloc[0] for end in ("", "_low", "_high"))
    return f"{value:{form}} ({low:{form}} to {high:{form}})"
