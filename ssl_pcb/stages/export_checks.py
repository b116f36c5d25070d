"""How far two forms of one classifier are apart, and how fast each of them is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from ssl_pcb.deploy.predictor import Decided, Predictor
from ssl_pcb.errors import UserError

TOLERANCE = 1e-4
"""By which a probability may move in fp32."""

TIMED_BATCHES, ROUNDS = 4, 5
"""Batches that speed is measured on, and how often."""


@dataclass(frozen=True)
class Agreement:
    """Run and exported file on the validation samples.

    Attributes:
        samples: How many.
        verdicts: Of them, those with another verdict.
        probability: Greatest difference of calibrated probabilities.
        score: Greatest difference of scores.
        judged_otherwise: Samples of which the verdict differs from that on the score that the run has saved.
        judged_score: Greatest difference from those scores.
    """

    samples: int
    verdicts: int
    probability: float
    score: float
    judged_otherwise: int
    judged_score: float


def agreement(
    run: Predictor, file: Predictor, pixels: Iterable[NDArray[np.uint8]], saved: NDArray[np.float64]
) -> Agreement:
    """Compare on ``pixels``, batches (B, C, S, S).

    Args:
        run: The run's network.
        file: The exported one.
        pixels: Of the validation samples.
        saved: Their scores (N,) when the run was made.
    """
    pairs = [(run.decide(batch), file.decide(batch)) for batch in pixels]
    ours, theirs = (_joined([pair[number] for pair in pairs]) for number in (0, 1))
    before = run.facts.operating.verdicts.verdicts(saved, theirs.unfamiliar)
    return Agreement(
        samples=len(saved),
        verdicts=int((ours.verdicts != theirs.verdicts).sum()),
        probability=float(np.abs(ours.probabilities - theirs.probabilities).max()),
        score=float(np.abs(ours.scores - theirs.scores).max()),
        judged_otherwise=int((before != theirs.verdicts).sum()),
        judged_score=float(np.abs(saved - theirs.scores).max()),
    )


def refuse_disagreement(out: Path, found: Agreement) -> None:
    """Refuse a file that judges otherwise than its run.

    Raises:
        UserError: If a verdict differs, or a probability by more than :data:`TOLERANCE`.
    """
    if found.verdicts or not found.probability <= TOLERANCE:
        raise UserError(
            f"{out}: not written, because it judges otherwise than the run: {found.verdicts} of {found.samples} "
            f"validation verdicts differ, and probabilities by up to {found.probability:.2g} ({TOLERANCE:g} is allowed)"
        )


@dataclass(frozen=True)
class Quality:
    """What one form of a classifier is worth on validation, at its thresholds.

    Attributes:
        auroc: Area under the ROC curve.
        average_precision: Of Defective.
        escapes: Share of Defective samples called OK.
        false_calls: Share of good samples called NG.
        milliseconds: Of the network for a sample, decoding left out.
    """

    auroc: float
    average_precision: float
    escapes: float
    false_calls: float
    milliseconds: float


@dataclass(frozen=True)
class Beside:
    """int8 beside fp32 on the validation samples.

    Attributes:
        fp32: One form.
        int8: The other.
        samples: How many.
        verdicts: Of them, those with another verdict.
        probability: Greatest difference of calibrated probabilities.
    """

    fp32: Quality
    int8: Quality
    samples: int
    verdicts: int
    probability: float

    def lines(self) -> Iterator[str]:
        """In words."""
        yield f"AUROC {self.int8.auroc:.4f}, in fp32 {self.fp32.auroc:.4f}"
        yield f"average precision {self.int8.average_precision:.4f}, in fp32 {self.fp32.average_precision:.4f}"
        yield (
            f"escape rate {self.int8.escapes:.2%}, in fp32 {self.fp32.escapes:.2%}; "
            f"false-call rate {self.int8.false_calls:.2%}, in fp32 {self.fp32.false_calls:.2%}"
        )
        yield (
            f"{self.verdicts:,} of {self.samples:,} verdicts differ from fp32, probabilities by up to "
            f"{self.probability:.2g}"
        )
        faster = self.fp32.milliseconds / self.int8.milliseconds
        yield (
            f"{self.int8.milliseconds:.2f} ms a sample, in fp32 {self.fp32.milliseconds:.2f} "
            f"({faster:.2f} times as fast on this processor)"
        )


def beside(fp32: Predictor, int8: Predictor, pixels: Iterable[NDArray[np.uint8]], labels: NDArray[np.int64]) -> Beside:
    """Measure both on ``pixels``, batches (B, C, S, S) of samples with ``labels`` (N,)."""
    kept: list[NDArray[np.uint8]] = []
    pairs = []
    for batch in pixels:
        pairs.append((fp32.decide(batch), int8.decide(batch)))
        if len(kept) < TIMED_BATCHES:
            kept.append(batch)
    ours, theirs = (_joined([pair[number] for pair in pairs]) for number in (0, 1))
    slow, fast = _milliseconds([fp32, int8], kept)
    return Beside(
        _quality(ours, labels, slow),
        _quality(theirs, labels, fast),
        samples=len(labels),
        verdicts=int((ours.verdicts != theirs.verdicts).sum()),
        probability=float(np.abs(ours.probabilities - theirs.probabilities).max()),
    )


def _quality(found: Decided, labels: NDArray[np.int64], milliseconds: float) -> Quality:
    return Quality(
        float(roc_auc_score(labels, found.scores)),
        float(average_precision_score(labels, found.scores)),
        float((found.verdicts[labels == 1] == "OK").mean()),
        float((found.verdicts[labels == 0] == "NG").mean()),
        milliseconds,
    )


def _milliseconds(forms: list[Predictor], kept: list[NDArray[np.uint8]]) -> list[float]:
    """Median time a sample of each, taken by turns: what else runs on the machine then slows all of them."""
    seconds = np.empty((ROUNDS, len(forms)))
    for turn in range(ROUNDS):
        for number, form in enumerate(forms):
            started = time.perf_counter()
            for batch in kept:
                form.network(batch)
            seconds[turn, number] = time.perf_counter() - started
    return [float(each) for each in 1000 * np.median(seconds, 0) / sum(map(len, kept))]


def _joined(parts: list[Decided]) -> Decided:
    return Decided(*(np.concatenate(column) for column in zip(*parts, strict=True)))
