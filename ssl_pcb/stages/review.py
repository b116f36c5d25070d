"""From an audit of labels to a page on which a person decides about its suspects."""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssl_pcb import __version__
from ssl_pcb.data.corrections import BEFORE
from ssl_pcb.errors import UserError
from ssl_pcb.reports.audit_result import RESULT
from ssl_pcb.reports.page.pictures import heat_legend
from ssl_pcb.reports.page.render import PICTURE_BYTES, write_page
from ssl_pcb.stages.audit_labels import TABLE
from ssl_pcb.stages.out_of_fold import OutOfFold, read_out_of_fold
from ssl_pcb.stages.reporting.gallery import Gallery
from ssl_pcb.stages.reporting.networks import heats_of

log = logging.getLogger(__name__)

SCRIPTS = ("charts.js", "samples.js", "review.js")
COLUMNS: tuple[str, ...] = ("row", "path", "crop", BEFORE, "label", "suggested_label", "suspicion", "probability")
COLUMNS += ("neighbour_disagreement", "neighbour_rows")
OPINIONS = ("suspicion", "probability", "neighbour_disagreement")


def make_review(audit: Path, out: Path, *, device: str = "auto") -> None:
    """Write a page of the suspects that ``audit labels`` left in the folder ``audit``.

    Each stands beside its nearest neighbours and a heat map by the network that had no part in its label.

    Args:
        audit: Folder of the audit; its data and its cross-validation must still lie where they lay.
        out: File to write.
        device: Where to compute heat maps: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: If it is no such folder, suspects nothing, or its data have changed since.
    """
    found, suspects, fingerprint = _read(audit)
    judged = read_out_of_fold(Path(found["facts"]["run"]), Path(found["data"]["manifest"]))
    rows = suspects["row"].astype(int).tolist()
    if not set(rows) <= set(judged.rows.tolist()):
        raise UserError(f"{audit / TABLE}: names rows that {judged.samples.name} has not; make the audit anew")
    entries = _entries(judged, suspects, rows, device)
    told = [
        {"sample": number, **{key: str(line[key]) for key in (*COLUMNS[:6],)},
         **{key: float(line[key]) for key in OPINIONS}}
        for number, line in enumerate(suspects.to_dict("records"))
    ]  # fmt: skip
    command = f"ssl-pcb data relabel {shlex.quote(judged.samples.name)} corrections.csv --out relabelled.csv"
    write_page(
        "review.html", SCRIPTS, {"key": f"ssl-pcb review {fingerprint}", "suspects": told, "samples": entries},
        {
            "title": f"Suspected labels of {judged.samples.name}", "count": len(rows), "unit": judged.samples.unit,
            "labels": len(judged.rows), "folder": str(audit), "command": command, "version": __version__,
            "auroc": found["facts"].get("auroc"), "heated": any("heat" in each for each in entries),
            "legend": heat_legend(),
        },
        out,
    )  # fmt: skip
    log.info("written: %s (%.1f MB); open it in a browser, and apply what it saves with", out, out.stat().st_size / 1e6)
    log.info("    %s", command)


def _read(audit: Path) -> tuple[dict[str, Any], pd.DataFrame, str]:
    """The audit's result, its suspects, and what tells it from others."""
    try:
        found = json.loads((audit / RESULT).read_text(encoding="utf-8"))
        content = (audit / TABLE).read_bytes()
        suspects = pd.read_csv(audit / TABLE, dtype=str, keep_default_na=False)
        complete = found["audit"] == "labels" and {"run"} <= found["facts"].keys() and set(COLUMNS) <= set(suspects)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise UserError(f"{audit}: is no folder of 'ssl-pcb audit labels'; name one that holds {RESULT} and {TABLE}")
    if not len(suspects):
        raise UserError(f"{audit}: suspects no label; there is nothing to review")
    numbers = suspects[[*OPINIONS, "row"]].apply(pd.to_numeric, errors="coerce")
    if not np.isfinite(numbers.to_numpy(float)).all():
        raise UserError(f"{audit / TABLE}: holds cells that are no numbers; make the audit anew")
    return found, suspects, hashlib.sha256(content).hexdigest()[:24]


def _entries(judged: OutOfFold, suspects: pd.DataFrame, rows: list[int], device: str) -> list[dict[str, Any]]:
    """Suspects in their order, then neighbours that are none."""
    near = [[int(each) for each in text.split()] for text in suspects["neighbour_rows"]]
    gallery = Gallery(judged.samples.without_references, list(rows))
    for row, some in zip(rows, near, strict=True):
        gallery.know(row, near=some)
    gallery.rows += sorted({each for some in near for each in some} - set(rows))
    folds = dict(zip(judged.rows.tolist(), judged.folds.tolist(), strict=True))
    try:
        gallery.heat(np.array(rows, np.int64), heats_of(judged.run, judged.samples, device, folds))
    except UserError as error:
        log.warning("no heat maps: %s", error)
    return gallery.entries(PICTURE_BYTES)
