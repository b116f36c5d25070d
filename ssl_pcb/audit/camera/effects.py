"""From scores on clean and changed pictures to errors at a fixed threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.audit.camera.corruptions import SEVERITIES, Corruption, corruptions
from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.audit.camera.scoring import CLEAN, SHIFTS, Key
from ssl_pcb.audit.proportion import Proportion
from ssl_pcb.audit.robustness import RATES, Hardship, Level, ShiftEffect
from ssl_pcb.decision.thresholds import decide
from ssl_pcb.evaluation.bootstrap import choose_clusters
from ssl_pcb.evaluation.changed import changes_of_rates
from ssl_pcb.evaluation.metrics import classification_metrics

LEAST_SPREAD = 1e-9
"""Standard deviation that scores are taken to have at least, so that changes of constant ones are finite."""

Scores = Mapping[Key, NDArray[np.float64]]
"""As :func:`ssl_pcb.audit.camera.scoring.scores_under` gives them."""


@dataclass(frozen=True)
class Judged:
    """The samples behind scores.

    Attributes:
        labels: (N,) in {0, 1}, both of them.
        groups: (N,) board names.
        images: (N,) source images.
        threshold: ``score >= threshold`` is Defective.
    """

    labels: NDArray[np.int64]
    groups: Sequence[str]
    images: Sequence[str]
    threshold: float

    def rates(self, scores: NDArray[np.float64]) -> dict[str, float]:
        """:data:`RATES` of the scores (N,)."""
        found = classification_metrics(scores, self.labels, self.threshold)
        return {name: found[name] for name in RATES}


def measure_corruptions(
    scores: Scores, judged: Judged, channels: int, trained_on: Mapping[str, Sequence[str]], *, resamples: int, seed: int
) -> list[Hardship]:
    """Rates under every corruption, each with its interval."""

    def level(corruption: Corruption, severity: int) -> Level:
        changed = scores[Key(corruption.name, severity)]
        changes = changes_of_rates(
            scores[CLEAN], changed, judged.labels, judged.threshold, judged.groups, judged.images,
            resamples=resamples, seed=seed,
        )  # fmt: skip
        return Level(severity, corruption.strengths[severity - 1], judged.rates(changed), changes)

    return [
        Hardship(each, [level(each, severity) for severity in SEVERITIES], trained_on.get(each.name, []))
        for each in corruptions(channels)
    ]


def measure_shifts(scores: Scores, judged: Judged) -> list[ShiftEffect]:
    """How verdicts and scores hold under shifts, from scores under :data:`SHIFTS`."""
    clean = scores[CLEAN]
    verdicts, spread = decide(clean, judged.threshold), max(float(clean.std()), LEAST_SPREAD)
    _, cluster_of = choose_clusters(judged.groups, judged.images)
    found = []
    for pixels in SHIFTS:
        moved = np.stack([values for key, values in scores.items() if key[:2] == (SHIFT, pixels)])
        flipped = np.mean([decide(each, judged.threshold) != verdicts for each in moved], axis=0)
        clusters = [flipped[cluster_of == number].tolist() for number in range(cluster_of.max() + 1)]
        found.append(
            ShiftEffect(pixels, Proportion.of_clusters(clusters), float(np.abs(moved - clean).mean() / spread))
        )
    return found
