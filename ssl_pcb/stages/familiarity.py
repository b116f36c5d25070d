"""Images unlike all that training has seen, which a person should look at whatever their score."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.samples import load_samples
from ssl_pcb.decision.bounds import checked_rate
from ssl_pcb.decision.thresholds import candidate_thresholds
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.features import cached_features
from ssl_pcb.evaluation.neighbours import distance_to_nearest
from ssl_pcb.reports.saved import Saved, Scored
from ssl_pcb.stages.finetuned import Classifier, load_classifier
from ssl_pcb.stages.scoring import refuse_changed

log = logging.getLogger(__name__)


def mark_unfamiliar(
    saved: Saved, val: Scored, judged: Scored | None, data: Path | None, share: float, device: str
) -> tuple[Scored, Scored | None, float]:
    """Mark samples that lie further from their nearest training samples than all but ``share`` of validation's do.

    The distance is that of :func:`~ssl_pcb.evaluation.neighbours.distance_to_nearest` in the network's features.

    Args:
        saved: A finetuning.
        val: Its validation samples.
        judged: Others, or ``None``.
        data: Manifest of those, if it is not the run's.
        share: Of validation samples to mark, in (0, 1).
        device: Where to compute.

    Returns:
        Both with a column ``unfamiliar``, and the least distance that is marked.

    Raises:
        UserError: If the run has no network, or its data are gone.
    """
    checked_rate("--unfamiliar", share)
    if saved.stage != "finetune":
        raise UserError(f"{saved.run}: --unfamiliar needs the network of a finetuning, and this is a {saved.stage} run")
    judge = load_classifier(saved.run, device)
    samples, _ = load_samples(judge.config.data)
    refuse_changed(saved, samples, "leave out --unfamiliar")
    bank = features_of(judge, None, samples.rows("train"))
    distances = distance_to_nearest(bank, features_of(judge, None, val.rows))
    limits = candidate_thresholds(distances)
    marked = (distances >= limits[:, None]).mean(1)
    limit = float(limits[np.argmax(marked <= share)])
    log.info("unfamiliar: further than %.4g from the nearest training %ss", limit, saved.unit)
    marks = [val.frame.assign(unfamiliar=distances >= limit)]
    if judged is not None:
        found = distance_to_nearest(bank, features_of(judge, data, judged.rows))
        marks.append(judged.frame.assign(unfamiliar=found >= limit))
    return Scored(marks[0]), (None if judged is None else Scored(marks[1])), limit


def features_of(judge: Classifier, data: Path | None, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features (N, D) of rows (N,) of the run's manifest, or of ``data``."""
    config = judge.config.data.model_copy(update={"manifest": data} if data else {})
    samples, _ = load_samples(config)
    cache = config.cache or cache_dir()
    return cached_features(judge.model.backbone, samples, rows, judge.fabric, cache, label="features")
