"""Can the label be told without a look at the defect?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ssl_pcb.audit.cues import JOINT, SAVED, Cue
from ssl_pcb.audit.out_of_fold import Folds, out_of_fold
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.evaluation.bootstrap import bootstrap_intervals

LEAD = 0.05
"""AUROC above guessing from which on it is worth asking where it comes from."""


@dataclass(frozen=True)
class Auroc:
    """How well a cue ranks samples that its model has not seen; the interval of 95 % is NaN where there is none."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class CueResult:
    """What a cue alone tells of the label.

    Attributes:
        cue: The cue.
        scores: (N,) out-of-fold log-odds of Defective.
        auroc: Of these.
        failed: Whether it is a file cue whose lower bound exceeds the limit, and does so where defects are blanked or
            of samples whose defects are not known.
        unblanked: Of the samples that the next one is of.
        blanked: With defects, and places as large in clean samples, blanked; both ``None`` without such a control.
    """

    cue: Cue
    scores: NDArray[np.float64]
    auroc: Auroc
    failed: bool
    unblanked: Auroc | None = None
    blanked: Auroc | None = None

    @property
    def stays(self) -> float | None:
        """Share of the lead over guessing that is left with defects blanked; ``None`` where there is no lead."""
        if self.blanked is None or self.unblanked is None or self.unblanked.value - 0.5 < LEAD:
            return None
        return max(0.0, (self.blanked.value - 0.5) / (self.unblanked.value - 0.5))

    def line(self) -> str:
        """What it means, in a few words."""
        if self.failed:
            return "FAILS"
        if self.stays is None or self.blanked is None:
            return ""
        return f"{self.blanked} with defects blanked: {self.stays:.0%} of its lead does not come from the defect"


def judge_cues(cues: Sequence[Cue], manifest: Manifest, folds: Folds, limit: float, seed: int) -> list[CueResult]:
    """Judge each cue by itself, and all file cues together.

    Args:
        cues: Of the samples.
        manifest: N labelled samples.
        folds: Of them.
        limit: AUROC that the lower bound of a file cue must not exceed; where a defect itself can change the file, with
            defects blanked.
        seed: Seed of models and resamples.

    Returns:
        In the order of ``cues``, the joint one behind the last file cue.
    """
    of_files = [cue for cue in cues if cue.kind == "file"]
    tables = [table for cue in of_files if (table := _without_defects(cue)) is not None]
    joint = Cue(JOINT, "file", pd.concat(tables, axis=1), SAVED)
    ordered = [*of_files, joint, *(cue for cue in cues if cue.kind != "file")]
    return [_judge(cue, manifest, folds, limit, seed) for cue in ordered]


def _without_defects(cue: Cue) -> pd.DataFrame | None:
    """Values that owe nothing to defects; ``None`` where these are not known of all samples."""
    if cue.blanked is None:
        return cue.values
    return cue.blanked if cue.blanked.notna().all(axis=None) else None


def _judge(cue: Cue, manifest: Manifest, folds: Folds, limit: float, seed: int) -> CueResult:
    labels = manifest.frame["label"].eq(LABELS[1]).to_numpy().astype(np.int64)
    scores = out_of_fold(cue.values, labels, folds, seed)
    auroc, tells = measure_auroc(scores, labels, manifest, seed), cue.kind == "file"
    if cue.blanked is None:
        return CueResult(cue, scores, auroc, tells and auroc.low > limit)
    boxed = cue.blanked.notna().all(axis=1).to_numpy()  # and clean
    rest = ~boxed | (labels == 0)
    part = Folds(folds.of[boxed], folds.count, folds.disjoint)

    def of_boxed(values: pd.DataFrame) -> Auroc:
        found = out_of_fold(values[boxed], labels[boxed], part, seed)
        return measure_auroc(found, labels[boxed], manifest.select(boxed), seed)

    blanked = of_boxed(cue.blanked)
    if boxed.all():
        return CueResult(cue, scores, auroc, tells and min(auroc.low, blanked.low) > limit, auroc, blanked)
    # Whatever a few boxes excuse, the cue must not tell the defects of which none is known.
    others = measure_auroc(scores[rest], labels[rest], manifest.select(rest), seed)
    failed = tells and auroc.low > limit and max(others.low, blanked.low) > limit
    return CueResult(cue, scores, auroc, failed, of_boxed(cue.values), blanked)


def measure_auroc(scores: NDArray[np.float64], labels: NDArray[np.int64], manifest: Manifest, seed: int) -> Auroc:
    """AUROC with its cluster bootstrap interval, over boards where there are enough of them, else over images."""
    groups, images = (list(manifest.frame[column]) for column in ("group", "path"))
    found = bootstrap_intervals(scores, labels, 0.0, groups, images, seed=seed)
    low, high = (ends.get("auroc", np.nan) for ends in (found.low, found.high))
    return Auroc(float(roc_auc_score(labels, scores)), low, high)
