"""The samples of a run that a page shows, and why some are missing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssl_pcb.config.supervised import CrossvalConfig, FinetuneConfig
from ssl_pcb.data.samples import Samples
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.errors import UserError
from ssl_pcb.stages.reporting.gallery import Gallery, check_places, shown_rows, worst
from ssl_pcb.stages.reporting.networks import augmentation_sheet, heats_of
from ssl_pcb.stages.reporting.reported import Reported
from ssl_pcb.stages.spaces import Load, open_space

log = logging.getLogger(__name__)

ASKED = 20
"""Samples of a pretraining whose neighbours are shown."""


@dataclass(frozen=True)
class Looks:
    """How a run's samples are shown.

    Attributes:
        count: Most samples, but for neighbours.
        room: Characters that their pictures may take.
        device: Where to compute.
        seed: Of what is drawn at random.
        load: Opens the data.
    """

    count: int
    room: int
    device: str
    seed: int
    load: Load


def show(
    reported: Reported, at: ThreeWay | None, looks: Looks, notes: list[str]
) -> tuple[dict[str, list[int]], list[dict[str, Any]], str]:
    """Gather what there is to look at; what cannot be had any more is added to ``notes``.

    Args:
        reported: The run.
        at: Thresholds that tell what is missed and what is falsely called; ``None`` of a run that judges nothing.
        looks: How.
        notes: What the page says in place of what is missing.

    Returns:
        Numbers of the samples that are told at length, by kind; all samples that are shown; the sheet of augmentations.
    """
    try:
        samples = _samples(reported, looks.load)
        gallery, told = _gallery(reported, at, samples, looks, notes)
        entries = gallery.entries(looks.room)
    except UserError as error:
        notes.append(f"No pictures: {error}")
        log.warning("%s: the report has no pictures: %s", reported.run, error)
        return {}, [], ""
    sheet = ""
    try:
        sheet = augmentation_sheet(reported.config, samples, looks.seed)
    except UserError:
        notes.append("No sheet of augmentations: no training sample has a defect box.")
    number = {row: place for place, row in enumerate(gallery.rows)}
    return {kind: [number[row] for row in rows] for kind, rows in told.items()}, entries, sheet


def _gallery(
    reported: Reported, at: ThreeWay | None, samples: Samples, looks: Looks, notes: list[str]
) -> tuple[Gallery, dict[str, list[int]]]:
    saved = reported.saved
    if saved is None or at is None:
        open_rows = samples.rows("train", "holdout", "val")
        drawn = np.random.default_rng(looks.seed).choice(open_rows, min(looks.count, len(open_rows)), replace=False)
        gallery, chosen = Gallery(samples.without_references, np.sort(drawn).tolist()), {}
    else:
        scored = saved.split("val")
        chosen = worst(scored, at)
        gallery = Gallery(samples.without_references, shown_rows(scored, chosen, looks.count, looks.seed))
        for row, score in zip(scored.rows.tolist(), scored.scores.tolist(), strict=True):
            gallery.know(row, score=score)
    folds = None
    if isinstance(reported.config, CrossvalConfig) and saved is not None:
        folds = dict(zip(saved.frame["row"].tolist(), saved.frame["fold"].tolist(), strict=True))
        notes.append("No map and no neighbours: each fold of a cross-validation has a network of its own.")
    else:
        _embed(reported, gallery, chosen, looks, notes)
    if isinstance(reported.config, CrossvalConfig | FinetuneConfig):
        try:
            heats = heats_of(reported.run, samples, looks.device, folds)
            gallery.heat(_together(chosen), heats)
        except UserError as error:
            notes.append(f"No heat maps: {error}")
    return gallery, {kind: rows.tolist() for kind, rows in chosen.items()}


def _embed(reported: Reported, gallery: Gallery, chosen: dict[str, Any], looks: Looks, notes: list[str]) -> None:
    try:
        space = open_space(reported.run, looks.device, looks.load)
    except UserError as error:
        notes.append(f"No map and no neighbours: {error}")
        return
    gallery.place(space.features, looks.seed)
    asked = _together(chosen) if chosen else np.array(gallery.rows[:ASKED], np.int64)
    gallery.find_neighbours(asked, space.features, looks.seed)


def _together(chosen: dict[str, Any]) -> Any:
    return np.unique(np.concatenate([*chosen.values(), np.array([], np.int64)])).astype(np.int64)


def _samples(reported: Reported, load: Load) -> Samples:
    """The run's data as they are now, which must be what it was made on."""
    data = reported.record.get("data", {})
    if "splits" not in data:
        raise UserError(f"{reported.run}: learned from shards, whose pictures are not looked for")
    samples, _ = load(reported.config.data)
    same = reported.saved is None or check_places(reported.saved.split("val"), samples)
    if not isinstance(reported.config, CrossvalConfig):  # whose records are of its first fold's split
        same = same and samples.fingerprint(labels=False) == data.get("images_fingerprint")
    if not same:
        raise UserError(f"{samples.name}: has changed since {reported.run} was made")
    return samples
