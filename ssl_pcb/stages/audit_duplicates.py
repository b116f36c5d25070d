"""Audit a data set for copies: of the same file, of the same pixels, and of the same shot."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssl_pcb.audit.copies import exact_copies
from ssl_pcb.audit.copy_table import ACROSS, copy_pairs, copy_table, count_copies
from ssl_pcb.audit.drawing import save_sheet
from ssl_pcb.audit.near_copies import near_copies
from ssl_pcb.audit.pair_sheet import draw_pairs
from ssl_pcb.audit.stored_greys import Greys
from ssl_pcb.config.auditing import DuplicatesConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.files import whole_file
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.reports.audit_result import Finding, say_audit, write_audit
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.spaces import open_space

log = logging.getLogger(__name__)

TABLE, SHEET = "pairs.csv", "pairs.png"
NAMED = 20
"""Pairs that a finding names."""

MEND = (
    "keep one of each pair, or give both the same board and split again with 'ssl-pcb data split'; until then the "
    "figures of that split are too good"
)


def audit_duplicates(
    config: DuplicatesConfig, asked: Mapping[str, Any], run: Path | None, device: str, out: Path
) -> bool:
    """Search all samples for copies; writes into the new folder ``out``.

    Args:
        config: What counts as a copy.
        asked: Values of a ``DataConfig`` that were given, ``manifest`` among them.
        run: A finished run whose network takes the place of small pictures in the search, or ``None``.
        device: Where it computes.
        out: Gets ``audit.json``, a table of pairs, and, if there are any, pictures of some.

    Returns:
        Whether no copies stand in different splits.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_used_folder(out)
    features = None
    if run is None:
        samples, data = load_samples(DataConfig(**asked))
    else:
        space = open_space(run, device, **asked)
        samples, data, features = space.samples, space.data, space.features(space.samples.store.rows)
    greys = Greys.of(samples)
    exact = exact_copies(samples, greys, data.max_pixels)
    repeated = np.searchsorted(samples.store.rows, [copy.second for copy in exact])
    positions = np.setdiff1d(np.flatnonzero(~greys.flat), repeated)
    near = near_copies(samples, greys, positions, config, data.max_pixels, features)
    table = copy_table([*exact, *near.pairs], samples)
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / TABLE) as part:
        table.to_csv(part, index=False, lineterminator="\n")
    picture = SHEET if len(table) else None
    if picture:
        save_sheet(draw_pairs("Copies, those across splits first", copy_pairs(table, samples)), out / picture)
    counts, findings = count_copies(table), _findings(table)
    facts = {
        "pairs": counts, "contrary_labels": int(table["labels"].eq("differ").sum()), "compared": near.compared,
        "alike_but_no_copies": near.alike, "too_plain_to_tell": near.plain, "flat": int(greys.flat.sum()),
        "features": str(run or "pixels"),
        "settings": config.model_dump(mode="json") | {"image_size": data.image_size},
    }  # fmt: skip
    passed = write_audit(out, "duplicates", samples.describe(), findings, facts, picture)
    _say(samples, counts, facts)
    say_audit(out, findings, [TABLE], picture)
    return passed


def _findings(table: pd.DataFrame) -> list[Finding]:
    """One for each two splits and kind."""
    across = table[table["where"].eq(ACROSS)]
    splits = [" and ".join(sorted(both)) for both in zip(across["first_split"], across["second_split"], strict=True)]
    findings = []
    for (between, kind), pairs in across.assign(splits=splits).groupby(["splits", "kind"]):
        first, second = (
            (pairs[f"{which}_path"] + " " + pairs[f"{which}_crop"]).str.strip() for which in ("first", "second")
        )
        named = tuple((first + " = " + second).head(NAMED))
        what = f"copies ({kind}) in splits {between}"
        findings.append(Finding(what, "pairs", float(len(pairs)), None, None, 0.0, named, MEND))
    return findings


def _say(samples: Samples, counts: Mapping[str, Mapping[str, int]], facts: Mapping[str, Any]) -> None:
    log.info(
        "%d %ss; %d pairs compared pixel by pixel: %d look alike without being copies (repeated patterns, other shots "
        "of a place), %d are too plain to tell (straight edges fit by chance)",
        len(samples.store.rows), samples.unit, facts["compared"], facts["alike_but_no_copies"],
        facts["too_plain_to_tell"],
    )  # fmt: skip
    if facts["flat"]:
        log.info("%d show next to nothing, and were compared by their files alone", facts["flat"])
    log.info("    %-32s%8s%14s%14s", "copies", "files", "equal pixels", "near copies")
    for where, found in counts.items():
        log.info("    %-32s%8d%14d%14d", where, found["file"], found["pixels"], found["near"])
    if facts["contrary_labels"]:
        log.warning("%d pairs of copies have contrary labels (column 'labels' of %s)", facts["contrary_labels"], TABLE)
    if samples.manifest.frame["split"].eq("").all():
        log.warning("the manifest has no splits yet, so that nothing can fail: split it and repeat this")
