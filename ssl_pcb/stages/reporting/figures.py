"""Metrics with intervals, what each threshold does, and differences between runs, for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.decision.bounds import upper_bound
from ssl_pcb.evaluation.bootstrap import real_boards
from ssl_pcb.evaluation.operating import classes_of_images
from ssl_pcb.evaluation.rates import by_name
from ssl_pcb.evaluation.report import too_narrow
from ssl_pcb.reports.saved import Saved, Scored
from ssl_pcb.stages.compare import paired_figures
from ssl_pcb.stages.operating import validation_share
from ssl_pcb.stages.reporting.facts import SPLITS
from ssl_pcb.stages.reporting.found import OWN

METRICS = {
    "auroc": "AUROC", "average_precision": "Average precision", "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy", "escape_rate": "Escape rate", "false_call_rate": "False-call rate",
    "false_call_rate_at_5_escape": "False calls where 5 % escape",
    "false_call_rate_at_1_escape": "False calls where 1 % escape",
    "precision_defective": "Precision, Defective", "recall_defective": "Recall, Defective",
    "f1_defective": "F1, Defective",
}  # fmt: skip
"""Those of a report that the page tells, the telling ones first."""

Cell = dict[str, str]


def metric_table(reports: Mapping[str, Any]) -> dict[str, Any]:
    """A row a metric and a column a split, each cell with its interval; and what the intervals are."""
    names = [split for split in SPLITS if split in reports]
    rows = [
        {"name": title, "cells": [cell(reports[split]["metrics"].get(metric)) for split in names]}
        for metric, title in METRICS.items()
        if any(metric in reports[split]["metrics"] for split in names)
    ]
    return {
        "columns": [SPLITS[split] for split in names], "rows": rows,
        "counts": [f"{reports[each]['n']:,} {reports[each]['unit']}s, {reports[each]['n_defective']:,} Defective"
                   for each in names],
        "interval": _interval(reports["val"]["interval"]),
    }  # fmt: skip


def headline(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """What ranks, apart from any threshold."""
    names = {"auroc": "AUROC", "average_precision": "average precision"}
    return [{"name": name} | cell(report["metrics"][metric]) for metric, name in names.items()]


def cell(entry: Mapping[str, Any] | None) -> Cell:
    """A value and its interval."""
    if entry is None or entry["value"] is None:
        return {"value": "–", "interval": ""}
    low, high = entry["low"], entry["high"]
    return {"value": f"{entry['value']:.3f}", "interval": "" if low is None else f"{low:.3f} to {high:.3f}"}


def offered(saved: Saved, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Operating points to start from: ``name``, ``low``, ``high``, and ``rate`` of Defective in the field.

    The first is what a line would run at now, as ``predict`` does: the newest evaluation's, or else the run's own.

    Args:
        saved: Predictions of a run.
        found: Its evaluations, the newest first.
    """
    chosen = [
        {"name": f"{each['named']} ({each['folder']})", **{key: float(each[key]) for key in ("low", "high", "rate")}}
        for each in found
    ]
    if all(each["named"] != OWN for each in found):
        chosen.append({"name": OWN, "low": saved.threshold, "high": saved.threshold, "rate": validation_share(saved)})
    return chosen


def operating(saved: Saved, chosen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a page needs to say at any threshold what ``evaluate`` says; it opens at the first of those ``chosen``."""
    members = units(saved.split("val"), saved.unit)
    share = validation_share(saved)
    return {
        "unit": saved.unit,
        "chosen": chosen,
        "share": share,
        "units": [_unit(name, *each) for name, each in members.items()],
    }


def units(val: Scored, unit: str) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Scores and labels a sample, image and board, as :func:`ssl_pcb.evaluation.operating.operate` counts them."""
    found = {unit: (val.scores, val.labels)}
    if unit == "tile":
        found["image"] = by_name(val.scores, classes_of_images(val.frame), val.images)
    if real_boards(val.groups):
        found["board"] = by_name(val.scores, classes_of_images(val.frame), val.groups)
    return found


def _unit(name: str, scores: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Any]:
    good, defective = (np.sort(scores[labels == label]).tolist() for label in (0, 1))
    return {"name": name, "good": good, "defective": defective, "bounds": [_bounds(good), _bounds(defective)]}


def _bounds(samples: ArrayLike) -> list[float]:
    """The 95 % bound of a rate with 0, 1, ... errors."""
    count = len(np.asarray(samples))
    return [round(upper_bound(errors, count), 6) for errors in range(count + 1)]


def differences(runs: Sequence[Saved], resamples: int, seed: int) -> list[list[dict[str, Any]]]:
    """How far each run but the first is from the first: a list of metrics a run.

    Raises:
        UserError: If two judged other data.
    """
    found = []
    for run in runs[1:]:
        each = paired_figures((runs[0], run), "val", resamples=resamples, seed=seed)["differences"]
        found.append([
            {"name": METRICS[name], "value": f"{value['value']:+z.3f}",
             "interval": f"{value['low']:+z.3f} to {value['high']:+z.3f}",
             "sure": value["low"] > 0 or value["high"] < 0, "over": value["over"]}
            for name, value in each.items()
        ])  # fmt: skip
    return found


def _interval(interval: Mapping[str, Any]) -> str:
    if interval["reason"]:
        return f"no intervals: {interval['reason']}"
    over = f"{interval['clusters']} {interval['over']}s"
    return f"{interval['level']:.0%} intervals, bootstrap over {over}{too_narrow(interval)}"
