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
        failed: Whether it is a file cue whose lower bound exceeds the limit, with defects blanked too.
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
    joint = Cue(JOINT, "file", pd.concat([_without_defects(cue) for cue in of_files], axis=1), SAVED)
    ordered = [*of_files, joint, *(cue for cue in cues if cue.kind != "file")]
    return [_judge(cue, manifest, folds, limit, seed) for cue in ordered]


def _without_defects(cue: Cue) -> pd.DataFrame:
    known = cue.blanked is not None and cue.blanked.notna().all(axis=None)
    return cue.blanked if known and cue.blanked is not None else cue.values


def _judge(cue: Cue, manifest: Manifest, folds: Folds, limit: float, seed: int) -> CueResult:
    labels = manifest.frame["label"].eq(LABELS[1]).to_numpy().astype(np.int64)
    scores = out_of_fold(cue.values, labels, folds, seed)
    auroc = measure_auroc(scores, labels, manifest, seed)
    tells = cue.kind == "file" and auroc.low > limit
    if cue.blanked is None:
        return CueResult(cue, scores, auroc, tells)
    known = cue.blanked.notna().all(axis=1).to_numpy()
    part = Folds(folds.of[known], folds.count, folds.disjoint)
    of_known, labels = manifest.select(known), labels[known]

    def again(values: pd.DataFrame) -> Auroc:
        return measure_auroc(out_of_fold(values[known], labels, part, seed), labels, of_known, seed)

    blanked = again(cue.blanked)
    unblanked = auroc if known.all() else again(cue.values)
    return CueResult(cue, scores, auroc, tells and blanked.low > limit, unblanked, blanked)


def measure_auroc(scores: NDArray[np.float64], labels: NDArray[np.int64], manifest: Manifest, seed: int) -> Auroc:
    """AUROC with its cluster bootstrap interval, over boards where there are enough of them, else over images."""
    groups, images = (list(manifest.frame[column]) for column in ("group", "path"))
    found = bootstrap_intervals(scores, labels, 0.0, groups, images, seed=seed)
    low, high = (ends.get("auroc", np.nan) for ends in (found.low, found.high))
    return Auroc(float(roc_auc_score(labels, scores)), low, high)
