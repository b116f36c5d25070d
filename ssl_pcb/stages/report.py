"""From finished runs to one page that shows what they were, are and found."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ssl_pcb import __version__
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.page.pictures import heat_legend
from ssl_pcb.reports.page.render import PICTURE_BYTES, write_page
from ssl_pcb.reports.saved import refuse_other_data
from ssl_pcb.stages.reporting.figures import METRICS, cell, differences
from ssl_pcb.stages.reporting.one_run import tell
from ssl_pcb.stages.reporting.reported import Reported, read_reported
from ssl_pcb.stages.reporting.shown import Looks

log = logging.getLogger(__name__)

SCRIPTS = ("charts.js", "operating.js", "samples.js", "report.js")


def make_report(
    runs: Sequence[Path], out: Path, *, pictures: int, device: str = "auto", resamples: int = 1000, seed: int = 0
) -> None:
    """Write a page about ``runs``.

    Args:
        runs: Folders of finished runs, all on the same data; differences are to the first.
        out: File to write.
        pictures: Most samples that are shown, over all runs, but for neighbours.
        device: Where to compute heat maps and features: ``auto``, ``cpu`` or ``cuda``.
        resamples: Bootstrap draws of differences.
        seed: Of these, and of what is drawn at random.

    Raises:
        UserError: If a run is unfinished or lacks its predictions, runs are of different data, or ``out`` cannot be
            written.
    """
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError(f"{' '.join(map(str, runs))}: names a run twice; name each once")
    reported = [read_reported(run) for run in runs]
    _refuse_mix(reported)
    beside = _side_by_side(reported, resamples, seed)
    load = cache(load_samples)  # which says what it does to the images, once for all runs
    looks = Looks(max(1, pictures // len(runs)), PICTURE_BYTES // len(runs), device, seed, load)
    told = [tell(each, name, looks) for each, name in zip(reported, names(runs), strict=True)]
    write_page(
        "report.html", SCRIPTS, {"runs": [each.data for each in told]},
        {
            "title": " beside ".join(names(runs)), "runs": [each.shown for each in told], "beside": beside,
            "legend": heat_legend(), "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "version": __version__,
        },
        out,
    )  # fmt: skip
    log.info("written: %s (%.1f MB); open it in a browser", out, out.stat().st_size / 1e6)


def names(runs: Sequence[Path]) -> list[str]:
    """The folders' names, or their whole paths where two have one name."""
    short = [run.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run) for run in runs]


def _refuse_mix(reported: Sequence[Reported]) -> None:
    first = reported[0]
    judged = [each.saved for each in reported if each.saved is not None]
    for each in judged[1:]:
        refuse_other_data(judged[0], each)
    for other in reported[1:]:
        if other.fingerprint != first.fingerprint:
            raise UserError(
                f"{other.run}: is of other data than {first.run} (other images or splits); report on runs of one "
                "manifest"
            )


def _side_by_side(reported: Sequence[Reported], resamples: int, seed: int) -> dict[str, Any] | None:
    """Metrics of the runs that judged validation, and how far each is from the first of them."""
    judged = [each.saved for each in reported if each.saved is not None]
    if len(judged) < 2:
        return None
    reports = [each.summary["reports"]["val"]["metrics"] for each in judged]
    return {
        "names": names([each.run for each in judged]),
        "rows": [{"name": title, "cells": [cell(each.get(metric)) for each in reports]}
                 for metric, title in METRICS.items() if any(metric in each for each in reports)],
        "differences": differences(judged, resamples, seed),
    }  # fmt: skip
