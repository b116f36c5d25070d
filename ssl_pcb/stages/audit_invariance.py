"""Ask a finished finetuning how much it minds each change that an augmentation may make."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ssl_pcb.audit.changes import single_changes
from ssl_pcb.audit.invariance import Invariance, measure_invariance
from ssl_pcb.data.loaders import batches, fetched, images_at_once
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.run import write_json
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.finetuned import load_classifier

log = logging.getLogger(__name__)

FILE = "invariance.json"


def audit_run(run: Path, data: Path | None, out: Path, *, samples: int, seed: int, device: str) -> None:
    """Measure the invariance of the run's classifier on validation samples; writes ``invariance.json`` into ``out``.

    Args:
        run: Folder of a finished finetuning.
        data: Manifest; ``None`` = the run's own.
        out: New folder.
        samples: Most validation samples, drawn at random.
        seed: Seed of samples and changes.
        device: ``auto``, ``cpu`` or ``cuda``.

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
    settings = {"run": str(run), "data": found.name, "samples": len(rows), "seed": seed, "threshold": judge.threshold}
    write_json(
        out / FILE,
        {"audit": "invariance", "figures": [each.to_dict() for each in measured], "settings": settings},
    )
    log.info("how %s judges %d validation %ss and their changed copies", run, len(rows), found.unit)
    for line in _table(measured):
        log.info("    %s", line)
    log.info("written: %s", out / FILE)


def _table(measured: list[Invariance]) -> list[str]:
    """A line for each change."""
    rows = []
    for each in measured:
        low, high = each.flips.interval()
        how = "up to" if each.change.of == "view" else "level"
        rows.append(
            {
                "change": each.change.name,
                "strength": "" if each.change.strength is None else f"{how} {each.change.strength:g}",
                "similarity": f"{each.similarity:.3f}",
                "5th percentile": f"{each.least_similar:.3f}",
                "verdicts flipped": f"{each.flips.value:.1%} ({low:.1%} to {high:.1%})",
            }
        )
    return pd.DataFrame(rows).to_string(index=False).splitlines()
