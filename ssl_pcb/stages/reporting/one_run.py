"""Everything that a page tells of one run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_pcb.config.stages import StageConfig
from ssl_pcb.config.supervised import CrossvalConfig, FinetuneConfig
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.reports.saved import FILES, Saved, need_both_classes, read_saved
from ssl_pcb.stages.reporting import curves, facts, figures, found
from ssl_pcb.stages.reporting.gallery import Gallery, check_places, shown_rows, worst
from ssl_pcb.stages.reporting.networks import augmentation_sheet, heats_of
from ssl_pcb.stages.spaces import open_space

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reported:
    """A finished run.

    Attributes:
        run: Its folder.
        record: Its ``run.json``.
        config: Its config.
        saved: Its predictions; ``None`` of a pretraining, which makes none.
    """

    run: Path
    record: dict[str, Any]
    config: StageConfig
    saved: Saved | None

    @property
    def fingerprint(self) -> str | None:
        """Of its data."""
        data = self.record.get("data", {})
        found: str | None = data.get("images_fingerprint", data.get("fingerprint"))
        return found


@dataclass(frozen=True)
class Told:
    """What is told of a run.

    Attributes:
        shown: For the template.
        data: For the page's code.
    """

    shown: dict[str, Any]
    data: dict[str, Any]


def read_reported(run: Path) -> Reported:
    """The finished run in ``run``.

    Raises:
        UserError: If it is no finished run, or one that should have predictions and has not.
    """
    record = read_run(run)
    stage = record.get("stage")
    if record.get("status") != "finished" or stage not in (*FILES, "pretrain"):
        raise UserError(f"{run}: is no folder of a finished run; name one of pretrain, linear-eval, finetune, crossval")
    saved = read_saved(run) if stage in FILES else None
    if saved is not None:
        need_both_classes(saved.split("val"), f"{run}: validation")
    return Reported(run, record, read_config(run, stage), saved)


def tell(reported: Reported, name: str, pictures: int, device: str, seed: int) -> Told:
    """Gather what there is; what cannot be had any more is said on the page, in place of it.

    Args:
        reported: The run.
        name: What the page calls it.
        pictures: Most samples of it that are shown, but for neighbours.
        device: Where to compute.
        seed: Of what is drawn at random.
    """
    run, record, config, saved = reported.run, reported.record, reported.config, reported.saved
    notes: list[str] = []
    rows = curves.read_metrics(run)
    summary = saved.summary if saved else {}
    told, entries, sheet = _pictures(reported, pictures, device, seed, notes)
    shown = {
        "name": name, "folder": str(run), "stage": record["stage"], "sentence": facts.sentence(record, config),
        "headline": figures.headline(summary["reports"]["val"]) if saved else [],
        "marks": saved.marks if saved else [], "facts": facts.facts(record, config), "splits": facts.splits(record),
        "versions": facts.versions(record), "settings": facts.settings(config), "command": facts.command(record),
        "metrics": figures.metric_table(summary["reports"]) if saved else None,
        "last": [] if saved else curves.last_values(rows),
        "folds": curves.table(summary["folds"], curves.FOLDS) if "folds" in summary else None,
        "probes": curves.table(_probes(summary), curves.PROBES) if "probes" in summary else None,
        "refit": summary.get("refit", {}).get("sentence", ""),
        "sheets": found.sheets(run), "augmentations": sheet, "audits": list(found.audits(run, record)),
        "notes": notes, "unit": saved.unit if saved else record.get("data", {}).get("unit", "image"),
        "pictured": bool(entries), "mapped": any("xy" in each for each in entries),
    }  # fmt: skip
    drawn = curves.curves(rows)
    data: dict[str, Any] = {
        "name": name, "curves": drawn, "samples": entries, "told": told,
        "operating": figures.operating(saved, found.evaluations(run)) if saved else None,
    }  # fmt: skip
    return Told(shown | {"curves": len(drawn)}, data)


def _probes(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in summary["probes"] if row["split"] == "val"]


def _pictures(
    reported: Reported, count: int, device: str, seed: int, notes: list[str]
) -> tuple[dict[str, list[int]], list[dict[str, Any]], str]:
    """Numbers of the samples that are told at length, all samples that are shown, and the sheet of augmentations."""
    try:
        samples = _samples(reported)
        gallery, told = _gallery(reported, samples, count, device, seed, notes)
    except UserError as error:
        notes.append(f"No pictures: {error}")
        log.warning("%s: the report has no pictures: %s", reported.run, error)
        return {}, [], ""
    sheet = ""
    try:
        sheet = augmentation_sheet(reported.config, samples, seed)
    except UserError:
        notes.append("No sheet of augmentations: no training sample has a defect box.")
    entries = gallery.entries()
    number = {row: place for place, row in enumerate(gallery.rows)}
    return {kind: [number[row] for row in rows] for kind, rows in told.items()}, entries, sheet


def _gallery(
    reported: Reported, samples: Samples, count: int, device: str, seed: int, notes: list[str]
) -> tuple[Gallery, dict[str, list[int]]]:
    saved = reported.saved
    if saved is None:
        open_rows = samples.rows("train", "holdout", "val")
        drawn = np.random.default_rng(seed).choice(open_rows, min(count, len(open_rows)), replace=False)
        gallery, chosen = Gallery(samples, np.sort(drawn).tolist()), {}
    else:
        scored = saved.split("val")
        chosen = worst(scored, saved.threshold)
        gallery = Gallery(samples, shown_rows(scored, chosen, count, seed))
        for row, score in zip(scored.rows.tolist(), scored.scores.tolist(), strict=True):
            gallery.know(row, score=score)
    folds = None
    if isinstance(reported.config, CrossvalConfig) and saved is not None:
        folds = dict(zip(saved.frame["row"].tolist(), saved.frame["fold"].tolist(), strict=True))
        notes.append(
            "No map and no neighbours: each fold of a cross-validation has a network, and a space, of its own."
        )
    else:
        _embed(reported, gallery, chosen, device, seed, notes)
    if isinstance(reported.config, CrossvalConfig | FinetuneConfig):
        try:
            heats = heats_of(reported.run, _seen(reported, samples), device, folds)
            gallery.heat(_together(chosen), heats)
        except UserError as error:
            notes.append(f"No heat maps: {error}")
    return gallery, {kind: rows.tolist() for kind, rows in chosen.items()}


def _embed(
    reported: Reported, gallery: Gallery, chosen: dict[str, Any], device: str, seed: int, notes: list[str]
) -> None:
    try:
        space = open_space(reported.run, device)
    except UserError as error:
        notes.append(f"No map and no neighbours: {error}")
        return
    gallery.place(space.features, seed)
    asked = _together(chosen) if chosen else np.array(gallery.rows[: 2 * len(gallery.rows) // 100 + 12], np.int64)
    gallery.find_neighbours(asked, space.features, seed)


def _together(chosen: dict[str, Any]) -> Any:
    return np.unique(np.concatenate([*chosen.values(), np.array([], np.int64)])).astype(np.int64)


def _samples(reported: Reported) -> Samples:
    """The run's data as they are now, which must be what it was made on."""
    record = reported.record
    if "manifest" not in record.get("data", {}) or "splits" not in record["data"]:
        raise UserError(f"{reported.run}: learned from shards, whose pictures are not looked for")
    samples, _ = load_samples(reported.config.data.model_copy(update={"references": False}))
    changed = f"{samples.name}: has changed since {reported.run} was made"
    saved = reported.saved
    if saved is not None and not check_places(saved.split("val"), samples):
        raise UserError(changed)
    if saved is None and samples.describe()["images_fingerprint"] != record["data"].get("images_fingerprint"):
        raise UserError(changed)
    return samples


def _seen(reported: Reported, samples: Samples) -> Samples:
    """The samples as the network sees them: with their golden images, if it was given those."""
    return load_samples(reported.config.data)[0] if reported.config.data.references else samples
