"""Labels ranked by how likely they are wrong, from a cross-validation and a space in which neighbours are sought."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.audit.labels import NEIGHBOURS, LabelQuality, Neighbourhood, judge_labels
from ssl_pcb.data.splits import units_together
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.neighbours import nearest_elsewhere
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.finetuned import load_classifier
from ssl_pcb.stages.out_of_fold import OutOfFold
from ssl_pcb.stages.spaces import Space, open_space


def rank_labels(judged: OutOfFold, features: Path | None, device: str) -> tuple[LabelQuality, Neighbourhood]:
    """How far each label is to be trusted, and whose neighbours said so.

    Raises:
        UserError: If ``features`` is a run that saw labels, or there is but one source image.
    """
    images = pd.factorize(units_together(judged.samples.manifest.frame.iloc[judged.rows]))[0].astype(np.int64)
    if features is None:
        neighbours = _by_fold(judged, images, device)
    else:
        stage = read_run(features).get("stage")
        if stage in ("finetune", "crossval"):
            raise UserError(
                f"{features}: is a run of {stage}, which saw the labels that are looked at; name a pretraining run, or "
                "leave --features out"
            )
        keys = judged.config.data.model_dump(include={"manifest", "skip_bad", "max_pixels", "cache"})
        space = open_space(features, device, **keys)
        found = space.features(judged.rows)
        neighbours = Neighbourhood(*nearest_elsewhere(found, images, np.arange(len(found)), NEIGHBOURS))
    return judge_labels(judged.labels, judged.probabilities, neighbours), neighbours


def _by_fold(judged: OutOfFold, images: NDArray[np.int64], device: str) -> Neighbourhood:
    """Each sample's neighbours as the network sees them that did not learn its label."""
    similarities = np.empty((len(images), NEIGHBOURS), np.float32)
    positions = np.empty((len(images), NEIGHBOURS), np.int64)
    for fold in np.unique(judged.folds):
        judge = load_classifier(judged.run / f"fold-{fold}", device)
        space = Space(judge.model.backbone, judged.samples, judged.config.data, judge.fabric)
        own = np.flatnonzero(judged.folds == fold)
        found = space.features(judged.rows, f"features of fold {fold}")
        similarities[own], positions[own] = nearest_elsewhere(found, images, own, NEIGHBOURS)
    return Neighbourhood(similarities, positions)
