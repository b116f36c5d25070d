"""From the samples of an image to its one verdict and the places of its defects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ssl_pcb.decision.verdicts import VERDICTS
from ssl_pcb.deploy.facts import ModelFacts
from ssl_pcb.deploy.items import Item
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.tiling import clip_box


class Judged(NamedTuple):
    """A judged sample: its place, score, probability and verdict, whether it is unfamiliar, and the difference."""

    box: Box
    score: float
    probability: float
    verdict: str
    unfamiliar: bool
    difference: float | None


class Suspect(NamedTuple):
    """A place that is not OK.

    Attributes:
        box: ``x1 y1 x2 y2`` in pixels of the upright image.
        score: Of the window there.
        verdict: ``NG`` or ``REVIEW``.
    """

    box: Box
    score: float
    verdict: str


@dataclass(frozen=True)
class Prediction:
    """What came of an image; of a panel its worst verdict, and score and probability of its most suspicious window.

    Attributes:
        path: What the image is called.
        crop: The part that was judged; ``None`` = all of it.
        verdict: ``OK``, ``REVIEW`` or ``NG``; ``None`` if it could not be read.
        score: Higher = more likely Defective.
        probability: Of Defective, calibrated, at the field's rate of defects (of tiles, where the model judges tiles).
        unfamiliar: Whether a sample of it is unlike all training images; ``None`` if the model does not tell.
        windows: Samples that were judged.
        suspects: Windows that are not OK, the highest score first, without those that overlap a higher one.
        difference: From the golden image, in [0, 1], where it is greatest; ``None`` without one.
        model: Names the weights.
        threshold: Names thresholds and calibration.
        error: Why it could not be read; empty if it could.
    """

    path: str
    crop: Box | None
    verdict: str | None
    score: float | None
    probability: float | None
    unfamiliar: bool | None
    windows: int
    suspects: tuple[Suspect, ...]
    difference: float | None
    model: str
    threshold: str
    error: str


def merged(item: Item, samples: list[Judged], facts: ModelFacts) -> Prediction:
    """The prediction of an image from all its samples, at least one."""
    highest = max(samples, key=lambda each: each.score)
    differences = [each.difference for each in samples if each.difference is not None]
    return Prediction(
        path=item.name,
        crop=item.crop,
        verdict=max((each.verdict for each in samples), key=VERDICTS.index),
        score=highest.score,
        probability=highest.probability,
        unfamiliar=None if facts.operating.unfamiliar_from is None else any(each.unfamiliar for each in samples),
        windows=len(samples),
        suspects=tuple(_suspects(samples)),
        difference=max(differences, default=None),
        model=facts.model,
        threshold=facts.operating.name,
        error="",
    )


def failed(item: Item, error: str, facts: ModelFacts) -> Prediction:
    """The prediction of an image that could not be read."""
    return Prediction(
        item.name, item.crop, None, None, None, None, 0, (), None, facts.model, facts.operating.name, error
    )


def _suspects(samples: Iterable[Judged]) -> list[Suspect]:
    """Greedy non-maximum suppression: a defect that several windows show is named once, by the highest of them."""
    found: list[Suspect] = []
    for each in sorted((each for each in samples if each.verdict != "OK"), key=lambda each: -each.score):
        if all(clip_box(each.box, other.box) is None for other in found):
            found.append(Suspect(each.box, each.score, each.verdict))
    return found
