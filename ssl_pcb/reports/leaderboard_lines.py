"""A leaderboard on the terminal."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

log = logging.getLogger(__name__)


def say_leaderboard(table: pd.DataFrame) -> None:
    """Log the table: ranking with its interval over seeds, difference to the baseline, costs."""
    shown = pd.DataFrame({
        "on": table["judged_on"].map("{:.0f}".format, na_action="ignore"),
        "entry": table["entry"], "runs": table["finished"],
        "AUROC": _spans(table, "auroc"), "average precision": _spans(table, "average_precision"),
        "difference": _spans(table, "average_precision_difference", "{:+.3f}"),
        "is": table["difference_is"].fillna("-"),
        "parameters": table["parameters"].map("{:,.0f}".format, na_action="ignore"),
        "s an epoch": table["seconds_per_epoch"].map("{:.1f}".format, na_action="ignore"),
        "MiB": table["peak_memory_mib"].map("{:,.0f}".format, na_action="ignore"),
    })  # fmt: skip
    log.info(
        "by average precision; [ ]: mean over seeds, its 95 % interval (t); difference: paired bootstrap over boards "
        "or images; more or less: its interval over seeds keeps from 0 too"
    )
    for number, rows in table.groupby("judged_on"):
        count, defective, unit, balance = rows.iloc[0][["samples", "defective", "unit", "balance"]]
        log.info("on %d: judged on %d %ss (%s classes), %d of them Defective", number, count, unit, balance, defective)
    for line in shown.to_string(index=False, na_rep="-").splitlines():
        log.info("    %s", line)
    for _, row in table[table["diverged"].gt(0) | table["failed"].gt(0)].iterrows():
        ranked = f"the mean is of the other {row['finished']}" if row["finished"] else "not ranked"
        log.warning("%s: %d diverged, %d failed: %s", row["entry"], row["diverged"], row["failed"], ranked)


def _spans(table: pd.DataFrame, name: str, form: str = "{:.3f}") -> pd.Series[str]:
    def span(row: pd.Series[Any]) -> str:
        value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
        if pd.isna(value):
            return "-"
        return form.format(value) + ("" if pd.isna(low) else f" [{form.format(low)}, {form.format(high)}]")

    return table.apply(span, axis=1)
