"""Look for wrong labels, with what a cross-validation says of them and what their neighbours say."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from ssl_pcb.audit.drawing import save_sheet
from ssl_pcb.audit.label_sheet import suspects_sheet
from ssl_pcb.audit.labels import NEIGHBOURS, LabelQuality, Neighbourhood
from ssl_pcb.data.corrections import corrections_of
from ssl_pcb.data.files import whole_file
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.reports.audit_result import Finding, say_audit, write_audit
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.label_ranking import rank_labels
from ssl_pcb.stages.out_of_fold import OutOfFold, read_out_of_fold

log = logging.getLogger(__name__)

TABLE, SHEET = "suspects.csv", "suspects.png"
NAMED, DRAWN = 6, 20
"""Neighbours that the table names and the picture shows, and suspects in the picture."""

MEND = (
    f"look at {SHEET}, write the right labels into column 'label' of {TABLE}, and apply it with 'ssl-pcb data relabel'"
)


def audit_labels(data: Path, run: Path, features: Path | None, out: Path, *, limit: float, device: str) -> bool:
    """Write the suspects, the most suspicious first, with a picture of them and ``audit.json`` into ``out``.

    Args:
        data: The manifest that was cross-validated.
        run: Folder of the cross-validation.
        features: A self-supervised run in whose space neighbours are sought; ``None`` = in that of the fold's own
            network.
        out: New folder.
        limit: Share of suspected labels up to which the audit passes.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        Whether it passes.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_used_folder(out)
    judged = read_out_of_fold(run, data)
    quality, neighbours = rank_labels(judged, features, device)
    suspects = table_of(judged, quality, neighbours).head(quality.count)
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / TABLE) as part:
        suspects.to_csv(part, index=False, lineterminator="\n", float_format="%.6g")
    picture = SHEET if len(suspects) else None
    if picture:
        first = quality.order[: min(len(suspects), DRAWN)]
        beside = [judged.rows[places[places >= 0]] for places in neighbours.positions[first, :NAMED]]
        save_sheet(suspects_sheet(judged.samples, judged.rows[first], beside), out / picture)
    findings = _findings(suspects, judged, limit)
    facts = _facts(judged, quality, features)
    passed = write_audit(out, "labels", judged.samples.describe(), findings, facts, picture)
    _say(suspects, judged, quality, limit)
    say_audit(out, findings, [TABLE], picture)
    if picture:
        page = shlex.quote(str(out / "review.html"))
        log.info("decide about them: ssl-pcb review %s -o %s", shlex.quote(str(out)), page)
    return passed


def _facts(judged: OutOfFold, quality: LabelQuality, features: Path | None) -> dict[str, Any]:
    return {
        "run": str(judged.run),
        "features": "the folds' own networks" if features is None else str(features),
        "labels": len(judged.rows),
        "suspects": quality.count,
        "auroc": float(roc_auc_score(judged.labels, judged.probabilities)),
        "neighbours": NEIGHBOURS,
        "weight_of_neighbours": quality.weight,
    }


def _say(suspects: pd.DataFrame, judged: OutOfFold, quality: LabelQuality, limit: float) -> None:
    counts = suspects["label"].value_counts()
    log.info(
        "%d of %d labelled %ss are suspected (%.1f%%, limit %.1f%%): %s", len(suspects), len(judged.rows),
        judged.samples.unit, 100 * len(suspects) / len(judged.rows), 100 * limit,
        ", ".join(f"{counts.get(each, 0)} labelled {each}" for each in LABELS),
    )  # fmt: skip
    log.info(
        "in the ranking neighbours count %.0f%%, the networks the rest; their AUROC on these labels is %.3f, and the "
        "nearer to 1, the more their suspicion means",
        100 * quality.weight, roc_auc_score(judged.labels, judged.probabilities),
    )  # fmt: skip


def table_of(judged: OutOfFold, quality: LabelQuality, neighbours: Neighbourhood) -> pd.DataFrame:
    """All labelled samples, the most suspicious first; a table of corrections once ``label`` is put right."""
    rows, labels = judged.rows[quality.order], judged.labels[quality.order]
    names = np.array(LABELS)
    named = [places[places >= 0] for places in neighbours.positions[quality.order, :NAMED]]
    return corrections_of(judged.samples.manifest, rows).assign(
        suggested_label=names[1 - labels],
        suspicion=quality.suspicion[quality.order],
        probability=judged.probabilities[quality.order],
        neighbour_disagreement=quality.by_neighbours[quality.order],
        neighbour_rows=[" ".join(map(str, judged.rows[places])) for places in named],
        neighbour_labels=[" ".join(names[judged.labels[places]]) for places in named],
    )


def _findings(suspects: pd.DataFrame, judged: OutOfFold, limit: float) -> list[Finding]:
    share = len(suspects) / len(judged.rows)
    if share <= limit:
        return []
    named = zip(suspects["row"], suspects["path"], suspects["crop"], strict=True)
    samples = tuple(f"row {row}: {path} {crop}".rstrip() for row, path, crop in named)
    return [Finding("suspected wrong labels", "share of the labels", share, None, None, limit, samples, MEND)]
