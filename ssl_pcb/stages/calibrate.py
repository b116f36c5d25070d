"""Calibrate a run's scores on validation, and measure what that is worth."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, Literal, get_args

from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.decision.calibration import sigmoid
from ssl_pcb.decision.calibrators import Calibration, LogOdds, Method, fit_calibration
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.reliability import Bin, calibration_error, cross_fitted, reliability_bins
from ssl_pcb.reports.run import read_config
from ssl_pcb.reports.saved import Saved, Scored

log = logging.getLogger(__name__)


def choose_calibration(saved: Saved, val: Scored, method: Method | Literal["none"]) -> Calibration:
    """Fit ``method`` on all validation samples, at their own share of defects; ``none`` takes scores as log-odds.

    Raises:
        UserError: If the scores are to be log-odds, and the run's loss does not make them such.
    """
    return log_odds(saved) if method == "none" else fit_calibration(method, val.scores, val.labels)


def measure_calibration(
    chosen: Calibration, method: Method | Literal["none"], val: Scored, judged: Scored | None
) -> tuple[dict[str, Any], dict[str, list[Bin]]]:
    """Compare what was chosen with the other methods.

    Args:
        chosen: See :func:`choose_calibration`.
        method: Its name.
        val: The run's validation samples.
        judged: Samples that had no part in it; ``None`` = validation, by calibrations of other images.

    Returns:
        Errors before and after it; bins of a reliability diagram before and after it.
    """
    on = val if judged is None else judged
    said = {"uncalibrated": sigmoid(on.scores)} | {
        name: cross_fitted(name, val.scores, val.labels, val.images)
        if judged is None
        else fit_calibration(name, val.scores, val.labels).probabilities(judged.scores).values
        for name in get_args(Method)
    }
    if method == "none":
        said["none"] = chosen.probabilities(on.scores).at(float(val.labels.mean())).values
    bins = {name: reliability_bins(said[name], on.labels) for name in ("uncalibrated", method)}
    return {
        "method": method, "rate": chosen.rate, "parameters": asdict(chosen.calibrator),
        "measured_on": "validation, by calibrations of other images" if judged is None else "samples apart",
        "errors": {name: calibration_error(values, on.labels) for name, values in said.items()},
        "bins": {name: [each._asdict() for each in found] for name, found in bins.items()},
    }, bins  # fmt: skip


def log_odds(saved: Saved) -> Calibration:
    """The scores of a finetuning as log-odds at the share of defects that its sampler showed.

    Cross entropy alone makes them that: other losses, class weights, smoothed and mixed labels lead scores elsewhere.

    Raises:
        UserError: If the run was trained otherwise.
    """
    config = read_config(saved.run, saved.stage) if saved.stage == "finetune" else None
    if not isinstance(config, FinetuneConfig):
        raise UserError(f"--calibration none: {saved.run} is no finetuning; choose platt, isotonic or temperature")
    changed = [
        name
        for name, differs in {
            f"loss {config.loss.name}": config.loss.name != "cross_entropy",
            "class weights": getattr(config.loss, "class_weights", "none") != "none",
            "label smoothing": getattr(config.loss, "label_smoothing", 0) > 0,
            f"the consistency loss of augmentation {config.augment.name}": getattr(config.augment, "consistency", 0)
            > 0,
            f"the labels of augmentation {config.augment.name}": config.augment.relabels,
        }.items()
        if differs
    ]
    if changed:
        raise UserError(
            f"--calibration none: {saved.run} was trained with {' and '.join(changed)}, whose scores are no log-odds; "
            "choose platt, isotonic or temperature"
        )
    good, defective = (saved.record["class_counts"][label] for label in LABELS)
    return Calibration(LogOdds(), defective / (good + defective))


def say_calibration(found: dict[str, Any]) -> None:
    """Log errors before and after."""
    log.info("calibration, measured on %s:", found["measured_on"])
    for name, each in found["errors"].items():
        used = " (used)" if name == found["method"] else ""
        log.info(
            "    %-12s expected calibration error %.4f, Brier score %.4f; on average %.3f where %.3f are Defective%s",
            name, each["ece"], each["brier"], each["mean_probability"], each["share_defective"], used,
        )  # fmt: skip
