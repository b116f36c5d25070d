"""Predictions as rows of CSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TextIO

from ssl_pcb.data.manifest import format_boxes
from ssl_pcb.deploy.merging import Prediction

Format = Literal["csv", "jsonl"]

COLUMNS = (
    "path", "crop", "verdict", "score", "probability", "unfamiliar", "windows", "suspects", "difference", "model",
    "threshold", "error",
)  # fmt: skip


def write_rows(predictions: Iterable[Prediction], chosen: Format, target: TextIO) -> Iterator[Prediction]:
    """Write each prediction when it comes, and pass it on.

    Args:
        predictions: As they come.
        chosen: ``csv``, with boxes as a manifest has them; or ``jsonl``, an object a line.
        target: Open for text; for CSV without translation of line ends.
    """
    table = csv.writer(target, lineterminator="\n")
    if chosen == "csv":
        table.writerow(COLUMNS)
    for each in predictions:
        if chosen == "csv":
            table.writerow(_cells(each))
        else:
            target.write(json.dumps(as_object(each), allow_nan=False) + "\n")
        target.flush()
        yield each


def as_object(prediction: Prediction) -> dict[str, Any]:
    """A prediction for JSON."""
    found = {column: getattr(prediction, column) for column in COLUMNS}
    return found | {"suspects": [each._asdict() for each in prediction.suspects], "error": prediction.error or None}


def _cells(prediction: Prediction) -> list[Any]:
    texts = {
        "crop": format_boxes([prediction.crop]) if prediction.crop else "",
        "suspects": format_boxes([each.box for each in prediction.suspects]),
        "unfamiliar": {True: "true", False: "false", None: ""}[prediction.unfamiliar],
    }
    return [texts.get(column, getattr(prediction, column)) for column in COLUMNS]
