"""Calibrate a run's scores on validation, and measure what that is worth."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, get_args

from ssl_pcb.decision.calibration import sigmoid
from ssl_pcb.decision.calibrators import Calibration, Method, fit_calibration
from ssl_pcb.evaluation.reliability import Bin, calibration_error, cross_fitted, reliability_bins
from ssl_pcb.reports.saved import Scored

log = logging.getLogger(__name__)


def calibrate(
    val: Scored, judged: Scored | None, method: Method
) -> tuple[Calibration, dict[str, Any], dict[str, list[Bin]]]:
    """Fit ``method`` on validation, and compare it with the others.

    Args:
        val: The run's validation samples, all of them: the calibration is at their own share of defects.
        judged: Samples that had no part in it; ``None`` = validation, by calibrations of other images.
        method: Which one is used.

    Returns:
        The calibration; errors before and after it; bins of a reliability diagram before and after it.
    """
    on = val if judged is None else judged
    said = {"uncalibrated": sigmoid(on.scores)} | {
        name: cross_fitted(name, val.scores, val.labels, val.images)
        if judged is None
        else fit_calibration(name, val.scores, val.labels).probabilities(judged.scores).values
        for name in get_args(Method)
    }
    chosen = fit_calibration(method, val.scores, val.labels)
    bins = {name: reliability_bins(said[name], on.labels) for name in ("uncalibrated", method)}
    return chosen, {
        "method": method, "rate": chosen.rate, "parameters": asdict(chosen.calibrator),
        "measured_on": "validation, by calibrations of other images" if judged is None else "samples apart",
        "errors": {name: calibration_error(values, on.labels) for name, values in said.items()},
        "bins": {name: [each._asdict() for each in found] for name, found in bins.items()},
    }, bins  # fmt: skip


def say_calibration(found: dict[str, Any]) -> None:
    """Log errors before and after."""
    log.info("calibration, measured on %s:", found["measured_on"])
    for name, each in found["errors"].items():
        used = " (used)" if name == found["method"] else ""
        log.info(
            "    %-12s expected calibration error %.4f, Brier score %.4f; on average %.3f where %.3f are Defective%s",
            name, each["ece"], each["brier"], each["mean_probability"], each["share_defective"], used,
        )  # fmt: skip
