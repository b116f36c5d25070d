"""How much a trained classifier minds single changes of a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from ssl_pcb.audit.changes import SingleChange
from ssl_pcb.audit.proportion import Proportion
from ssl_pcb.augment.views import plain_view
from ssl_pcb.data.loaders import Batch
from ssl_pcb.objectives.classification import ImageClassifier
from ssl_pcb.training.runtime import make_generator


@dataclass(frozen=True)
class Invariance:
    """What one change does to features and verdicts.

    Attributes:
        change: The change.
        similarity: Mean cosine similarity between the features of a picture and of its changed copy.
        least_similar: Its 5th percentile over the pictures.
        flips: Pictures whose verdict is another one for the changed copy; taken as independent.
    """

    change: SingleChange
    similarity: float
    least_similar: float
    flips: Proportion

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "of": self.change.of,
            "change": self.change.name,
            "strength": self.change.strength,
            "usual": self.change.usual,
            "similarity_mean": self.similarity,
            "similarity_percentile_5": self.least_similar,
            "verdict_flips": self.flips.to_dict(),
        }


@torch.no_grad()
def measure_invariance(
    model: ImageClassifier,
    threshold: float,
    batches: Iterable[Batch],
    changes: Iterable[SingleChange],
    fabric: Fabric,
    *,
    seed: int = 0,
) -> list[Invariance]:
    """Compare each picture with its changed copies.

    Args:
        model: On its device, in eval mode.
        threshold: Scores of at least this are Defective.
        batches: Stored pixels on the same device; at least one.
        changes: What to do to them.
        fabric: Device and precision.
        seed: Seed of what the changes draw; the same for each of them.
    """
    changes = list(changes)
    generators = [make_generator(fabric.device, seed, "changes") for _ in changes]
    alike: list[list[Tensor]] = [[] for _ in changes]
    flipped: list[list[Tensor]] = [[] for _ in changes]
    for batch in batches:
        features, verdicts = _judge(model, plain_view(batch.inputs, model.size), threshold, fabric)
        for number, (change, generator) in enumerate(zip(changes, generators, strict=True)):
            changed, others = _judge(model, change.make(batch.inputs, generator), threshold, fabric)
            alike[number].append(F.cosine_similarity(features, changed))
            flipped[number].append(verdicts != others)
    return [
        _summary(change, torch.cat(similar), torch.cat(flips))
        for change, similar, flips in zip(changes, alike, flipped, strict=True)
    ]


def _judge(model: ImageClassifier, images: Tensor, threshold: float, fabric: Fabric) -> tuple[Tensor, Tensor]:
    """What the head sees (B, D) in float32 and verdicts (B,)."""
    with fabric.autocast():
        features = model.seen(images)
        scores = model.classifier.scores(features)
    return features.flatten(1).float(), scores >= threshold


def _summary(change: SingleChange, similar: Tensor, flips: Tensor) -> Invariance:
    flipped = Proportion(int(flips.sum()), len(flips))
    return Invariance(change, float(similar.mean()), float(similar.quantile(0.05)), flipped)
