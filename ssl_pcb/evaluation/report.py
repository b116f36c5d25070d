"""The evaluation report: one JSON-able dict that stages save, and its few lines for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from ssl_pcb.data.manifest import LABELS
from ssl_pcb.evaluation.bootstrap import MIN_CLUSTERS, BootstrapResult, bootstrap_intervals
from ssl_pcb.evaluation.metrics import UNDEFINED, classification_metrics

RATES_OF = {"escape_rate": 1, "recall_defective": 1, "false_call_rate": 0, "recall_nondefective": 0}
"""Rates among the samples of one class."""

NOT_RATES = ("n", "confusion", "confusion_labels")


def evaluate_scores(
    scores: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    groups: Sequence[str],
    images: Sequence[str],
    unit: str = "tile",
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """All metrics with intervals, ready for ``json.dumps(..., allow_nan=False)``.

    Args:
        scores: (N,), higher = more likely Defective.
        labels: (N,) in {0, 1}.
        threshold: ``score >= threshold`` is Defective; it is fixed, not chosen here.
        groups: (N,) board names.
        images: (N,) source image of each sample.
        unit: What one sample is: ``tile`` or ``image``.
        resamples: Bootstrap draws.
        seed: Seed of the draws.
        level: Coverage of the intervals.

    Returns:
        ``{"unit", "n", "n_defective", "threshold", "metrics": {name: {"value", "low", "high"}}, "confusion",
        "confusion_labels", "interval": {"over", "clusters", "of_class", "level", "resamples", "skipped",
        "seed", "reason"}}``.
        An undefined value or end is ``None`` and a ``reason`` stands beside it.

    Raises:
        UserError: On NaN scores or unlabelled samples.
    """
    found = classification_metrics(scores, labels, threshold)
    bootstrap = bootstrap_intervals(
        scores, labels, threshold, groups, images, resamples=resamples, seed=seed, level=level
    )
    metrics = {name: _entry(name, found[name], bootstrap) for name in found if name not in NOT_RATES}
    _open_closed_intervals(metrics, np.asarray(labels), groups if bootstrap.unit == "board" else images, level)
    return {
        "unit": unit,
        "n": found["n"],
        "n_defective": sum(found["confusion"][1]),
        "threshold": float(threshold),
        "metrics": metrics,
        "confusion": found["confusion"],
        "confusion_labels": found["confusion_labels"],
        "interval": {
            "over": bootstrap.unit,
            "clusters": bootstrap.clusters,
            "of_class": dict(zip(LABELS, bootstrap.of_class, strict=True)),
            "level": level,
            "resamples": bootstrap.resamples,
            "skipped": bootstrap.skipped,
            "seed": seed,
            "reason": bootstrap.reason or None,
        },
    }


def _entry(name: str, value: float, bootstrap: BootstrapResult) -> dict[str, Any]:
    if math.isnan(value):
        return {"value": None, "low": None, "high": None, "reason": UNDEFINED[name]}
    entry: dict[str, Any] = {"value": value, "low": bootstrap.low.get(name), "high": bootstrap.high.get(name)}
    if entry["low"] is None:
        entry["reason"] = bootstrap.reason or "undefined in every resample"
    return entry


def _open_closed_intervals(
    metrics: dict[str, dict[str, Any]], labels: NDArray[np.int64], clusters: Sequence[str], level: float
) -> None:
    """Give rates of 0 or 1 the Clopper-Pearson interval over the clusters that hold their class.

    No resample of samples without an error has one, so the bootstrap's interval has no width there; that would
    read as certainty.
    """
    for name, label in RATES_OF.items():
        entry = metrics[name]
        if entry["low"] is not None and entry["low"] == entry["high"] and entry["value"] in (0, 1):
            count = len({cluster for cluster, own in zip(clusters, labels, strict=True) if own == label})
            exact = binomtest(int(entry["value"]) * count, count).proportion_ci(level, method="exact")
            entry |= {"low": float(exact.low), "high": float(exact.high), "interval": "Clopper-Pearson"}


def format_report(report: dict[str, Any]) -> list[str]:
    """A report of :func:`evaluate_scores` as terminal lines; every rate names its unit."""
    unit, interval = report["unit"], report["interval"]

    def show(name: str) -> str:
        return _show(report["metrics"][name])

    def of_class(name: str) -> str:
        return f"precision {show(f'precision_{name}')}, recall {show(f'recall_{name}')}, F1 {show(f'f1_{name}')}"

    (tn, fp), (fn, tp) = report["confusion"]
    balanced = [f"counted in balance: as many NonDefective {unit}s as Defective ones, drawn at random"]
    classes = f" ({report['balance']} classes)" if "balance" in report else ""
    return [
        *(balanced if report.get("balance") == "balanced" else []),
        f"{report['n']:,} {unit}s{classes}, {report['n_defective']:,} of them Defective; "
        f"Defective is a score of at least {report['threshold']:.4g}",
        f"per {unit}: AUROC {show('auroc')}, average precision {show('average_precision')}",
        f"per {unit}: accuracy {show('accuracy')}, balanced accuracy {show('balanced_accuracy')}",
        f"escape rate {show('escape_rate')} of Defective {unit}s, "
        f"false-call rate {show('false_call_rate')} of NonDefective {unit}s",
        f"Defective {unit}s: {of_class('defective')}",
        f"NonDefective {unit}s: {of_class('nondefective')}",
        f"{unit}s: {tp:,} Defective caught, {fn:,} escaped, {tn:,} NonDefective passed, {fp:,} false calls",
        _interval_line(interval),
    ]


def _show(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return f"undefined ({entry['reason']})"
    if entry["low"] is None:
        return f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def _interval_line(interval: dict[str, Any]) -> str:
    over, clusters = interval["over"], interval["clusters"]
    if interval["reason"]:
        return f"no intervals: {interval['reason']}"
    skipped = f"; {interval['skipped']} resamples lost a class and were skipped" if interval["skipped"] else ""
    return f"[ ]: {interval['level']:.0%} bootstrap intervals over {clusters} {over}s{skipped}{too_narrow(interval)}"


def too_narrow(interval: Mapping[str, Any]) -> str:
    """What is to be said behind ``interval`` of a report where too few boards or source images hold a class."""
    of_class = interval.get("of_class", {})  # run folders of before do not have it
    few = [f"{count} hold {label}" for label, count in of_class.items() if 0 < count < MIN_CLUSTERS]
    return f"; too narrow, for only {' and '.join(few)} samples" if few else ""
