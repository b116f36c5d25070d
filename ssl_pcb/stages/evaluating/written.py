"""The files of an evaluation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_pcb.decision.operating_point import Given, Rule
from ssl_pcb.reports.charts import draw_operating_point, draw_reliability
from ssl_pcb.reports.run import write_json
from ssl_pcb.reports.saved import save_table
from ssl_pcb.stages.evaluating.found import Evaluation
from ssl_pcb.stages.panels import panel_figures

FILE, VERDICTS, PANELS = "evaluation.json", "verdicts.csv", "panels.csv"
CHART, DIAGRAM = "operating_point.png", "reliability.png"


def write_evaluation(found: Evaluation, out: Path) -> None:
    """Write figures, verdicts, counts of whole images and pictures into the new folder ``out``.

    Raises:
        UserError: If it cannot be written.
    """
    saved, verdicts = found.saved, found.verdicts
    out.mkdir(parents=True, exist_ok=True)
    draw_reliability(found.bins, saved.unit, out / DIAGRAM)
    curves = {found.where: found.on, "validation": found.val}
    draw_operating_point(curves, [verdicts.low, verdicts.high], saved.unit, out / CHART)
    save_table(_verdict_table(found), out / VERDICTS)
    if found.panels is not None:
        save_table(found.panels, out / PANELS)
    write_json(
        out / FILE,
        {
            "run": str(saved.run), "stage": saved.stage, "data": saved.record["data"], "marks": saved.marks,
            "unit": saved.unit, "rule": _named(found.asked.rule), "review": _named(found.asked.review),
            "low": verdicts.low, "high": verdicts.high, "unfamiliar_from": found.unfamiliar_from,
            "chosen_on": "given" if isinstance(found.asked.rule, Given) else "validation",
            "reported_on": found.where, "test_balance": found.asked.balance, "defect_rate": found.defect_rate,
            "rate_given": found.asked.defect_rate is not None,
            "operating": {name: each.to_dict() for name, each in found.operating.items()},
            "calibration": found.calibrated,
            "panels_of": None if found.panels is None else found.asked.panels_of,
            "panels": None if found.panels is None else panel_figures(found.panels), "gap": found.gap,
        },
    )  # fmt: skip


def _verdict_table(found: Evaluation) -> pd.DataFrame:
    on = found.on
    kept = [column for column in ("path", "crop", "group", "label", "row", "score", "unfamiliar") if column in on.frame]
    return on.frame[kept].assign(
        probability=found.calibration.probabilities(on.scores).at(found.defect_rate).values,
        verdict=found.verdicts.verdicts(on.scores, on.unfamiliar), marks="; ".join(found.saved.marks),
    )  # fmt: skip


def _named(rule: Rule | None) -> dict[str, Any] | None:
    return None if rule is None else {"name": type(rule).__name__, **asdict(rule)}
