"""What ``evaluate`` finds, before any of it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ssl_pcb.decision.calibrators import Calibration
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.operating import Operating
from ssl_pcb.evaluation.reliability import Bin
from ssl_pcb.reports.saved import Saved, Scored
from ssl_pcb.stages.evaluating.asked import Asked
from ssl_pcb.stages.validation import Validation


@dataclass(frozen=True)
class Evaluation:
    """An operating point of a run, and what it is worth.

    Attributes:
        saved: The run.
        asked: What for.
        where: What is reported on: ``validation``, ``holdout``, ``test`` or a manifest.
        val: The samples that chose.
        on: Those reported on.
        verdicts: The thresholds.
        unfamiliar_from: Least distance from training samples that is unfamiliar; ``None`` = none is.
        calibration: From scores to probabilities.
        calibrated: Errors before and after it, for JSON.
        bins: Of the reliability diagram, before and after it.
        defect_rate: Of the field.
        operating: What the verdicts do, on validation and on what is reported on.
        panels: Counts of each whole image, if they were asked for.
        camera: Validation's samples for ``audit robustness``, if it was asked for.
        gap: From training samples to new boards, if it was asked for.
    """

    saved: Saved
    asked: Asked
    where: str
    val: Scored
    on: Scored
    verdicts: ThreeWay
    unfamiliar_from: float | None
    calibration: Calibration
    calibrated: dict[str, Any]
    bins: dict[str, list[Bin]]
    defect_rate: float
    operating: dict[str, Operating]
    panels: pd.DataFrame | None
    camera: Validation | None
    gap: dict[str, Any] | None
