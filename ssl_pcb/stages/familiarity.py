"""Images unlike all that training has seen, which a person should look at whatever their score."""

from __future__ import annotations

import logging
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Familiarity:
    """From where on a sample lies too far from all training samples.

    The distance is that of :func:`~ssl_pcb.evaluation.neighbours.distance_to_nearest` in the network's features.

    Attributes:
        judge: The network.
        bank: (T, D) features of the training samples.
        limit: The least distance that is unfamiliar.
    """

    judge: Classifier
    bank: NDArray[np.float32]
    limit: float

    @classmethod
    def open(cls, saved: Saved, val: Scored, share: float, device: str) -> Familiarity:
        """The limit that at most ``share`` of the validation samples reach.

        Args:
            saved: A finetuning.
            val: Its validation samples.
            share: In (0, 1).
            device: Where to compute.

        Raises:
            UserError: If the run has no network, or its data are gone or have changed.
        """
        checked_rate("--unfamiliar", share)
        if saved.stage != "finetune":
            raise UserError(
                f"{saved.run}: --unfamiliar needs the network of a finetuning, and this is a {saved.stage} run"
            )
        judge = load_classifier(saved.run, device)
        samples, _ = load_samples(judge.config.data)
        refuse_changed(saved, samples, "leave out --unfamiliar")
        bank = features_of(judge, None, samples.rows("train"))
        distances = np.sort(distance_to_nearest(bank, features_of(judge, None, val.rows)))
        limits = candidate_thresholds(distances)
        reached = 1 - np.searchsorted(distances, limits) / len(distances)
        limit = float(limits[np.argmax(reached <= share)])
        log.info("unfamiliar: further than %.4g from the nearest training %ss", limit, saved.unit)
        return cls(judge, bank, limit)

    def mark(self, scored: Scored, data: Path | None) -> Scored:
        """``scored``, rows of the run's manifest or of ``data``, with a column ``unfamiliar``."""
        distances = distance_to_nearest(self.bank, features_of(self.judge, data, scored.rows))
        return Scored(scored.frame.assign(unfamiliar=distances >= self.limit))


def features_of(judge: Classifier, data: Path | None, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features (N, D) of rows (N,) of the run's manifest, or of ``data``."""
    config = judge.config.data.model_copy(update={"manifest": data} if data else {})
    samples, _ = load_samples(config)
    cache = config.cache or cache_dir()
    return cached_features(judge.model.backbone, samples, rows, judge.fabric, cache, label="features")
