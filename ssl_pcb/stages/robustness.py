"""Ask a finished finetuning how its errors grow when the camera is no longer as it was."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.audit.camera.corruptions import CORRUPTIONS
from ssl_pcb.audit.camera.effects import measure_corruptions, measure_shifts
from ssl_pcb.audit.camera.overlap import SHIFT, trained_on
from ssl_pcb.audit.camera.scoring import CLEAN, Key, camera_changes, shift_changes
from ssl_pcb.audit.robustness import Robustness
from ssl_pcb.audit.robustness_sheet import draw_robustness
from ssl_pcb.audit.robustness_words import sentences, shift_lines, table
from ssl_pcb.data.files import whole_file
from ssl_pcb.evaluation.bootstrap import choose_clusters
from ssl_pcb.reports.audit_result import Finding, say_audit, write_audit
from ssl_pcb.reports.run import write_json
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.robustness_checks import findings_of
from ssl_pcb.stages.validation import Validation

log = logging.getLogger(__name__)

AUDIT, CHART = "robustness", "robustness.png"


def measure_robustness(asked: Validation, out: Path) -> tuple[Robustness, bool]:
    """Measure errors at a fixed threshold on validation samples whose pictures are corrupted, and shifted.

    Writes ``robustness.json``, ``robustness.csv``, ``robustness.png`` and ``audit.json`` into ``out``.

    Args:
        asked: A finished finetuning and the samples it is asked about.
        out: New folder.

    Returns:
        What was measured, and whether nothing was found: no corruption of severity 1 doubles the escape rate.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_used_folder(out)
    size = asked.judge.model.size
    changes = dict([*camera_changes(size, asked.channels), *shift_changes(size)])
    found = _measure(asked, asked.scores(changes))
    out.mkdir(parents=True, exist_ok=True)
    findings = findings_of(found)
    passed = _write(found, findings, asked, out)
    draw_robustness(found, asked.example(changes), out / CHART)
    _say(found, asked)
    say_audit(out, findings, [f"{AUDIT}.json", f"{AUDIT}.csv"], CHART)
    return found, passed


def _measure(asked: Validation, scores: dict[Key, NDArray[np.float64]]) -> Robustness:
    judged, met = asked.judged, trained_on(asked.judge.config.augment)
    resamples = asked.judge.config.resamples
    return Robustness(
        judged=len(judged.labels),
        defective=int(judged.labels.sum()),
        unit=asked.samples.unit,
        clustered=choose_clusters(judged.groups, judged.images)[0],
        clean=judged.rates(scores[CLEAN]),
        threshold=judged.threshold,
        hardships=measure_corruptions(scores, judged, asked.channels, met, resamples=resamples, seed=asked.seed),
        shifts=measure_shifts(scores, judged),
        shifts_trained_on=met.get(SHIFT, []),
    )


def _write(found: Robustness, findings: Sequence[Finding], asked: Validation, out: Path) -> bool:
    data, rows = asked.samples.describe(), list(found.rows())
    settings = {
        "run": str(asked.run), "split": "val", "samples": found.judged, "defective": found.defective,
        "unit": found.unit, "intervals_over": found.clustered, "seed": asked.seed, "threshold": found.threshold,
        "test_balance": asked.balance,
        "image_size": asked.judge.model.size, "surroundings_px": asked.samples.store.spec.ring,
    }  # fmt: skip
    said = list(sentences(found))
    write_json(out / f"{AUDIT}.json", {"settings": settings, "data": data, "said": said, "rows": rows})
    with whole_file(out / f"{AUDIT}.csv") as part:
        pd.DataFrame(rows).to_csv(part, index=False, lineterminator="\n", float_format="%.6g")
    return write_audit(out, AUDIT, data, findings, settings | {"clean": dict(found.clean), "said": said}, CHART)


def _say(found: Robustness, asked: Validation) -> None:
    log.info(
        "how %s judges %d validation %ss, %d Defective (%s classes), at threshold %.6g (severities 1, 3 and 5); "
        "from it on a verdict stops: NG, and REVIEW where there is one",
        asked.run, found.judged, found.unit, found.defective, asked.balance, found.threshold,
    )  # fmt: skip
    for line in table(found):
        log.info("    %s", line)
    log.info(
        "    twice: severity from which the escape rate is over twice the clean one; *: an augmentation is like it"
    )
    measured = {each.corruption for each in found.hardships}
    for each in CORRUPTIONS:
        if each not in measured:
            log.info("    %s: left out, the pictures are grey", each.name)
    for line in shift_lines(found):
        log.info("    %s", line)
    ring = asked.samples.store.spec.ring
    seen = f"{ring} px of real surroundings, then" if ring else "no surroundings to show, only"
    log.info("    a shift brings in what lies beside the %s: %s its mirror image", found.unit, seen)
    for sentence in sentences(found):
        log.info("%s", sentence)
