"""Audit whether the label of a data set can be told without a look at the defect."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ssl_pcb.audit.cue_chart import draw_cues
from ssl_pcb.audit.cues import cues_of
from ssl_pcb.audit.described import describe
from ssl_pcb.audit.drawing import save_sheet
from ssl_pcb.audit.examples import example_pairs, telling_rows
from ssl_pcb.audit.measuring import Measured, measure_samples
from ssl_pcb.audit.out_of_fold import Folds, make_folds
from ssl_pcb.audit.pair_sheet import draw_pairs
from ssl_pcb.audit.shortcuts import Auroc, CueResult, judge_cues
from ssl_pcb.config.auditing import ShortcutsConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.data.resolve import probe_files, resolve
from ssl_pcb.errors import UserError
from ssl_pcb.reports.audit_result import Finding, say_audit, write_audit
from ssl_pcb.stages.checks import refuse_used_folder

log = logging.getLogger(__name__)

CHART, EXAMPLES = "cues.png", "examples.png"
SHOWN = 5
"""Samples that a finding names."""


def audit_shortcuts(config: ShortcutsConfig, data: DataConfig, out: Path) -> bool:
    """Judge every cue on the labelled samples outside split ``test``; writes into the new folder ``out``.

    Args:
        config: How to judge.
        data: With a manifest.
        out: Gets ``audit.json``, a chart of the cues, and pairs of samples that show the strongest one.

    Returns:
        Whether no file cue tells the label.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_used_folder(out)
    name, everything = str(data.manifest), Manifest.read(data.manifest or "")
    manifest = _judged(everything, name, config)
    infos, bad = probe_files(manifest, data)
    data = resolve(data, manifest, infos)
    with tqdm(desc="measuring", unit="file", total=len(infos), disable=None, leave=False) as bar:
        measured = measure_samples(manifest, data, infos, config.seed, bar.update)
    bad |= measured.bad
    manifest = manifest.select(np.isin(np.arange(len(manifest)), measured.rows))
    folds = make_folds(manifest, name, config.folds, config.seed)
    results = judge_cues(cues_of(manifest, measured), manifest, folds, config.limit, config.seed)
    # The strongest that fails, or the strongest of all.
    shown = max(results, key=lambda result: (result.failed, result.auroc.value))
    pairs = example_pairs(telling_rows(shown, manifest), shown, manifest, data)
    out.mkdir(parents=True, exist_ok=True)
    varied = [result for result in results if not result.cue.constant]
    draw_cues(varied or results, config.limit, out / CHART)
    title = f"{shown.cue.name}, AUROC {shown.auroc}: of each pair {LABELS[1]} left, {LABELS[0]} right"
    save_sheet(draw_pairs(title, pairs), out / EXAMPLES)
    findings = [_finding(result, manifest, config.limit) for result in results if result.failed]
    facts = _facts(results, manifest, measured, folds)
    facts |= {"left_out": list(bad.values()), "settings": config.model_dump(mode="json")}
    described = describe(manifest, name, [look.digest for look in measured.looks])
    passed = write_audit(out, "shortcuts", described, findings, facts, CHART)
    if bad:
        log.warning("%d unreadable files left out, first: %s", len(bad), next(iter(bad.values())))
    _say(results, manifest, measured, folds)
    say_audit(out, findings, [EXAMPLES], CHART)
    return passed


def _judged(manifest: Manifest, name: str, config: ShortcutsConfig) -> Manifest:
    """Labelled rows outside split ``test``, of as many whole images as are to be looked at."""
    frame = manifest.frame
    kept = manifest.select(frame["label"].ne("") & frame["split"].ne("test"))
    lacking = set(LABELS) - set(kept.frame["label"])
    if lacking:
        raise UserError(
            f"{name}: has no {min(lacking)} samples outside split 'test'; an audit of shortcuts needs both labels"
        )
    if frame["split"].eq("test").any():
        log.info("the labels of split 'test' are not looked at")
    if len(kept) <= config.samples:
        return kept
    counts = kept.frame["path"].value_counts(sort=False)
    drawn = counts.iloc[np.random.default_rng(config.seed).permutation(len(counts))]
    some = kept.select(kept.frame["path"].isin(drawn.index[drawn.cumsum() <= config.samples]))
    if some.frame["label"].nunique() < len(LABELS):
        raise UserError(f"samples: {config.samples} in whole images do not hold both labels; raise --samples")
    log.info("looking at %d of %d labelled samples (--samples)", len(some), len(kept))
    return some


def _finding(result: CueResult, manifest: Manifest, limit: float) -> Finding:
    rows = [row for pair in telling_rows(result, manifest, SHOWN) for row in pair]
    return Finding(
        what=f"{result.cue.name} tells the label", measure="AUROC out of fold", value=result.auroc.value,
        low=result.auroc.low, high=result.auroc.high, limit=limit,
        samples=tuple(manifest.frame["path"].iloc[rows]), mend=result.cue.mend,
    )  # fmt: skip


def _facts(results: list[CueResult], manifest: Manifest, measured: Measured, folds: Folds) -> dict[str, Any]:
    return {
        "cues": [
            {
                "name": result.cue.name, "kind": result.cue.kind, **_numbers(result.auroc), "failed": result.failed,
                "unblanked": result.unblanked and _numbers(result.unblanked),
                "blanked": result.blanked and _numbers(result.blanked), "stays": result.stays, "mend": result.cue.mend,
            }
            for result in results
        ],
        "folds": folds.count, "disjoint": folds.disjoint, "why_not_board": folds.why,
        "labels": {label: int(manifest.frame["label"].eq(label).sum()) for label in LABELS},
        "defective_with_boxes": measured.boxed,
    }  # fmt: skip


def _numbers(auroc: Auroc) -> dict[str, float | None]:
    ends = (end if math.isfinite(end) else None for end in (auroc.low, auroc.high))
    return dict(zip(("auroc", "low", "high"), (auroc.value, *ends), strict=True))


def _say(results: list[CueResult], manifest: Manifest, measured: Measured, folds: Folds) -> None:
    defective = int(manifest.frame["label"].eq(LABELS[1]).sum())
    log.info(
        "%d samples, %d of them %s; %d folds, no %s on both sides",
        len(manifest), defective, LABELS[1], folds.count, folds.disjoint,
    )  # fmt: skip
    if folds.why:
        log.warning("not by board, for %s: what tells boards apart may look as if it told the label", folds.why)
    constant = [result.cue.name for result in results if result.cue.constant]
    if constant:
        log.info("the same in all samples, and so no cue: %s", ", ".join(constant))
    for result in results:
        if not result.cue.constant:
            log.info("    %-9s%-26s%s  %s", result.cue.kind, result.cue.name, result.auroc, result.line())
    if not any(result.cue.kind == "position" for result in results):
        log.info("no position cues: whole images have no place in a panel")
    if not measured.boxed:
        log.info("no control of the content cues: no defective sample has a box (column 'boxes')")
