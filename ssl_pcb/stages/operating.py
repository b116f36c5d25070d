"""Thresholds, calibration and field rate of a run, as ``evaluate`` has saved them."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from ssl_pcb.decision.operating_point import Rule
from ssl_pcb.deploy.facts import CalibrationFacts, Operating
from ssl_pcb.errors import UserError
from ssl_pcb.reports.operating_lines import asked_for
from ssl_pcb.reports.saved import Saved
from ssl_pcb.stages.evaluating.written import FILE

log = logging.getLogger(__name__)


def evaluation_files(run: Path) -> list[Path]:
    """What ``evaluate`` has written into folders of a run, the newest first."""
    files = run.glob(f"*/{FILE}")
    return sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.parent.name), reverse=True)


def newest_evaluation(run: Path) -> Path | None:
    """The newest of the folders that ``evaluate`` has written into a run; ``None`` if there is none."""
    return next((file.parent for file in evaluation_files(run)), None)


def read_evaluation(folder: Path, saved: Saved) -> dict[str, Any]:
    """What ``evaluate`` found of the run ``saved``.

    Raises:
        UserError: If the folder holds none, or one of other data.
    """
    file = folder / FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        prints = [each["data"]["fingerprint"] for each in (found, saved.record)]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{file}: no readable evaluation; write one with 'ssl-pcb evaluate {saved.run}'") from None
    if prints[0] != prints[1]:
        raise UserError(f"{file}: is of other data than {saved.run}; name an evaluation of this run with --evaluation")
    return dict(found)


def operating_of(saved: Saved, evaluation: Path | None) -> Operating:
    """The operating point that ``evaluation`` names, or that of the newest one in the run.

    Of a run that was never evaluated, which is said, its own threshold, its temperature, and validation's share of
    defects.

    Raises:
        UserError: If the evaluation cannot be used.
    """
    folder = evaluation or newest_evaluation(saved.run)
    if folder is None:
        log.warning(
            "%s: was never evaluated, so this is its own threshold (best balanced accuracy on validation); choose "
            "yours with 'ssl-pcb evaluate'", saved.run,
        )  # fmt: skip
        return _own(saved)
    found = read_evaluation(folder, saved)
    try:
        rules = [found["rule"], *([found["review"]] if found["review"] else [])]
        return Operating(
            low=found["low"], high=found["high"], unfamiliar_from=found["unfamiliar_from"],
            defect_rate=found["defect_rate"],
            # Evaluations of old do not say.
            rate_given=found.get("rate_given", not math.isclose(found["defect_rate"], validation_share(saved))),
            calibration=CalibrationFacts(**{key: found["calibration"][key] for key in CalibrationFacts.model_fields}),
            chosen=f"{folder.name}: {'; '.join(_said(rule, saved.unit) for rule in rules)}",
        )  # fmt: skip
    except (KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder / FILE}: cannot be used ({reason}); evaluate the run anew") from None


def validation_share(saved: Saved) -> float:
    """Share of validation samples that are Defective: the rate that ``evaluate`` takes unless it is given another."""
    return float(saved.split("val").labels.mean())


def _own(saved: Saved) -> Operating:
    report, rate = saved.summary["reports"]["val"], validation_share(saved)
    curve = CalibrationFacts(
        method="temperature", rate=rate, parameters={"temperature": report["calibration"]["temperature"]}
    )
    return Operating(
        low=saved.threshold, high=saved.threshold, unfamiliar_from=None, defect_rate=rate, rate_given=False,
        calibration=curve,
        chosen="the run's own threshold: best balanced accuracy on validation",
    )  # fmt: skip


def _said(rule: dict[str, Any] | None, unit: str) -> str:
    if rule is None:
        return asked_for(None, unit)
    kinds = {kind.__name__: kind for kind in get_args(Rule)}
    return asked_for(kinds[rule["name"]](**{key: value for key, value in rule.items() if key != "name"}), unit)
