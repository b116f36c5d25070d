"""Ask a finished finetuning how much it minds each change that an augmentation may make."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ssl_pcb.audit.changes import single_changes
from ssl_pcb.audit.invariance import Invariance, measure_invariance
from ssl_pcb.audit.invariance_chart import draw_invariance
from ssl_pcb.audit.invariance_words import LEGEND, sentences, table
from ssl_pcb.config.augment import GeometryConfig
from ssl_pcb.data.loaders import batches, fetched, images_at_once
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.audit_result import Finding, say_audit, write_audit
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.finetuned import load_classifier

log = logging.getLogger(__name__)

CHART = "invariance.png"
FLIPS = 0.05
"""Share of the verdicts that may flip under a change as strong as the standard augmentation's."""


def audit_run(run: Path, data: Path | None, out: Path, *, samples: int, seed: int, device: str) -> bool:
    """Measure the invariance of the run's classifier on validation samples.

    Writes ``audit.json`` and ``invariance.png`` into ``out``.

    Args:
        run: Folder of a finished finetuning.
        data: Manifest; ``None`` = the run's own.
        out: New folder.
        samples: Most validation samples, drawn at random.
        seed: Seed of samples and changes.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        Whether no change as strong as the standard augmentation's surely flips more than :data:`FLIPS` of the verdicts.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_used_folder(out)
    judge = load_classifier(run, device)
    config = judge.config.data.model_copy(update={"manifest": data} if data else {})
    found, config = load_samples(config)
    rows = found.rows("val")
    if not len(rows):
        raise UserError(f"{found.name}: has no samples of split 'val'; name another manifest with --data")
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:samples])
    at_once = images_at_once(config.image_size, judge.fabric.device)
    loaded = batches(found.pixels(rows), np.arange(len(rows)), at_once, drop_last=False)
    measured = measure_invariance(
        judge.model, judge.threshold,
        fetched(tqdm(loaded, "changes", unit="batch", disable=None, leave=False), judge.fabric.device),
        single_changes(config.image_size, found.channels), judge.fabric, seed=seed,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    findings = findings_of(measured)
    said = list(sentences(measured))
    facts = {
        "changes": [each.to_dict() for each in measured], "said": said, "run": str(run), "samples": len(rows),
        "seed": seed, "threshold": judge.threshold,
    }  # fmt: skip
    passed = write_audit(out, "augmentations", found.describe(), findings, facts, CHART)
    draw_invariance(measured, FLIPS, out / CHART)
    log.info("how %s judges %d validation %ss and their changed copies", run, len(rows), found.unit)
    for line in table(measured):
        log.info("    %s", line)
    for line in (*LEGEND, *said):
        log.info("%s", line)
    say_audit(out, findings, (), CHART)
    return passed


def findings_of(measured: Sequence[Invariance]) -> list[Finding]:
    """Changes as strong as the standard augmentation's that surely flip more than :data:`FLIPS` of the verdicts."""
    return [_finding(each) for each in measured if each.change.usual and each.flips.interval()[0] > FLIPS]


def _finding(each: Invariance) -> Finding:
    name = each.change.name
    group = "geometry" if name in GeometryConfig.model_fields else "photometry"
    key = f"augment.view.{group}.{name}"
    more = f"{key}=true" if each.change.strength is None else f"a larger {key}"
    return Finding(
        f"{each.change} flips verdicts", "share of the verdicts", each.flips.value, *each.flips.interval(), FLIPS, (),
        f"train with {more}, or longer; or keep it from changing at the camera",
    )  # fmt: skip
