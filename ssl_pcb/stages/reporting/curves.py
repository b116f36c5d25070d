"""What a run wrote down epoch by epoch, as charts; folds and probes as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_pcb.reports.run import METRICS

ASIDE = ("epoch", "seconds", "best", "samples_per_second")
SHARES = ("accuracy", "auroc", "average_precision")
FOLDS = ("fold", "samples", "defective", "groups", "auroc", "average_precision", "escape_rate", "false_call_rate")
PROBES = ("backbone", "labels", "probe", "setting", "auroc", "average_precision", "escape_rate", "false_call_rate")

Row = Mapping[str, Any]


def read_metrics(run: Path) -> list[Row]:
    """The lines of ``metrics.jsonl``; none if there is no such file, or it is damaged."""
    try:
        return [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def curves(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Charts over epochs, each ``title``, ``unit`` (``share`` = from 0 to 1) and ``series``; none of a single epoch."""
    rows = [row for row in rows if "epoch" in row]
    if len(rows) < 2:
        return []
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in ASIDE]
    shares = [name for name in names if name.endswith(SHARES)]
    losses = [name for name in names if name.endswith("loss") or name in ("where", "which", "consistency")]
    rest = [name for name in names if name not in (*shares, *losses)]
    kinds = [("Loss", "", losses), ("Accuracy, AUROC, average precision", "share", shares)]
    kinds += [(_words(name), "", [name]) for name in rest]
    return [_chart(title, unit, some, rows) for title, unit, some in kinds if some]


def last_values(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What the last epoch came to."""
    row = next((row for row in reversed(rows) if "epoch" in row), {})
    return [(_words(name), f"{value:.4g}") for name, value in row.items() if isinstance(value, float | int)]


def table(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, Any]:
    """Rows of numbers and words under the names of those ``columns`` that they have."""
    kept = [column for column in columns if any(column in row for row in rows)]
    return {
        "columns": [_words(name) for name in kept],
        "rows": [[_cell(row.get(name)) for name in kept] for row in rows],
    }


def _chart(title: str, unit: str, names: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    series = [
        {"name": _words(name), "points": [[row["epoch"], row[name]] for row in rows if _is_number(row.get(name))]}
        for name in names
    ]
    return {"title": title, "unit": unit, "series": [each for each in series if each["points"]]}


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    return f"{value:z.3f}" if isinstance(value, float) else "" if value is None else str(value)


def _words(name: str) -> str:
    words = {"lr": "learning rate"}.get(name, name).replace("_", " ")
    words = words.replace("auroc", "AUROC").replace("knn", "kNN").replace("std", "spread")
    return words[:1].upper() + words[1:] if not words.startswith("kNN") else words
