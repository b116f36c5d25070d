"""From a run's saved predictions to an operating point that a line can be staked on."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ssl_pcb.decision.bounds import checked_rate
from ssl_pcb.decision.calibrators import Calibration, Method
from ssl_pcb.decision.operating_point import FalseCallBudget, Rule, choose_operating_point
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.balance import Balance
from ssl_pcb.evaluation.operating import Operating, operate
from ssl_pcb.reports.charts import draw_operating_point, draw_reliability
from ssl_pcb.reports.operating_lines import asked_for, operating_lines
from ssl_pcb.reports.run import write_json
from ssl_pcb.reports.saved import Saved, Scored, need_both_classes, read_saved, save_table
from ssl_pcb.stages.calibrate import calibrate, say_calibration
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.familiarity import mark_unfamiliar
from ssl_pcb.stages.gap import gap_lines, measure_gap
from ssl_pcb.stages.panels import judge_panels, panel_figures, panel_lines
from ssl_pcb.stages.robustness import measure_robustness
from ssl_pcb.stages.scoring import kept_apart, score_data, score_test

log = logging.getLogger(__name__)

FILE, VERDICTS, PANELS = "evaluation.json", "verdicts.csv", "panels.csv"
MOST = 2000
"""Most validation samples whose pictures are corrupted."""

CHART, DIAGRAM = "operating_point.png", "reliability.png"


@dataclass(frozen=True)
class Asked:
    """What ``evaluate`` is asked for.

    Attributes:
        rule: What the threshold is for; ``None`` = the run's own, which has the best balanced accuracy on validation.
        review: The false-call budget of NG, if what lies between it and ``rule`` goes to a person.
        calibration: How scores become probabilities.
        defect_rate: Of the field, for probabilities and the reviewer's load; ``None`` = validation's.
        data: Manifest to report on in place of the run's test split.
        test: Report on the run's test split.
        holdout: Report on the images of training boards that were kept apart.
        unfamiliar: Share of validation samples to count as unlike all training samples; ``None`` = none is.
        gap: Say how far the run falls from training samples to new boards, and why.
        robustness: Measure errors under corruptions of the camera too, into a folder ``robustness`` of its own.
        panels: Judge whole images by overlapping windows too.
        balance: Which of the samples reported on are counted in the rates of errors, see
            :func:`ssl_pcb.evaluation.balance.counted`; thresholds and calibration are of all.
        device: Where to score what the run did not: ``auto``, ``cpu`` or ``cuda``.
        ledger: The project's record of looks at test splits.
        resamples: Bootstrap draws.
        seed: Of the draws.
    """

    rule: Rule | None
    review: FalseCallBudget | None = None
    calibration: Method | Literal["none"] = "platt"
    defect_rate: float | None = None
    data: Path | None = None
    test: bool = False
    holdout: bool = False
    unfamiliar: float | None = None
    gap: bool = False
    robustness: bool = False
    panels: bool = False
    balance: Balance = "natural"
    device: str = "auto"
    ledger: Path = Path("results/test_ledger.csv")
    resamples: int = 1000
    seed: int = 0


def evaluate(run: Path, asked: Asked, out: Path) -> Path:
    """Choose on validation, report on samples that had no part in it, and write all of it into ``out``.

    Args:
        run: A finished run of finetune, linear-eval or crossval.
        asked: What for.
        out: New folder.

    Returns:
        The file of figures.

    Raises:
        UserError: On whatever the user can mend; then nothing is written.
    """
    refuse_used_folder(out)
    saved = read_saved(run)
    val = saved.split("val")
    need_both_classes(val, f"{run}: validation")
    if asked.defect_rate is not None:
        checked_rate("--defect-rate", asked.defect_rate)
    verdicts = _verdicts(saved, val, asked)
    where, judged = _apart(saved, asked)
    distance = None
    if asked.unfamiliar is not None:
        val, judged, distance = mark_unfamiliar(saved, val, judged, asked.data, asked.unfamiliar, asked.device)
    on = val if judged is None else judged
    calibration, calibrated, bins = calibrate(saved, val, judged, asked.calibration)
    rate = asked.defect_rate or float(val.labels.mean())
    found = {
        name: operate(
            each.counted(asked.balance).frame, verdicts, saved.unit, rate, resamples=asked.resamples, seed=asked.seed
        )
        for name, each in {"validation": val, **({} if judged is None else {where: judged})}.items()
    }  # fmt: skip
    panels = judge_panels(saved, asked.data, _split(asked), verdicts, asked.device) if asked.panels else None
    gap = measure_gap(saved, val, judged if asked.test else None, asked.device, asked.seed) if asked.gap else None
    out.mkdir(parents=True, exist_ok=True)
    draw_reliability(bins, saved.unit, out / DIAGRAM)
    draw_operating_point({where: on, "validation": val}, [verdicts.low, verdicts.high], saved.unit, out / CHART)
    save_table(_verdict_table(on, verdicts, calibration, rate, saved.marks), out / VERDICTS)
    write_json(
        out / FILE,
        {
            "run": str(run), "stage": saved.stage, "data": saved.record["data"], "marks": saved.marks,
            "unit": saved.unit, "rule": _named(asked.rule), "review": _named(asked.review), "low": verdicts.low,
            "high": verdicts.high, "unfamiliar_from": distance, "chosen_on": "validation", "reported_on": where,
            "test_balance": asked.balance, "defect_rate": rate,
            "operating": {name: each.to_dict() for name, each in found.items()}, "calibration": calibrated,
            "panels": None if panels is None else panel_figures(panels), "gap": gap,
        },
    )  # fmt: skip
    _say(saved, asked, found, where, calibrated, out)
    if asked.robustness:
        measure_robustness(
            run, None, out / "robustness", samples=MOST, balance=asked.balance, seed=asked.seed,
            device=asked.device,
        )  # fmt: skip
    for line in [] if gap is None else gap_lines(gap):
        log.info("%s", line)
    if panels is not None:
        save_table(panels, out / PANELS)
        for line in panel_lines(panel_figures(panels)):
            log.info("%s", line)
    return out / FILE


def _verdicts(saved: Saved, val: Scored, asked: Asked) -> ThreeWay:
    if asked.rule is None:
        low = saved.threshold
    else:
        low = choose_operating_point(val.scores, val.labels, asked.rule, saved.unit)
    if asked.review is None:
        return ThreeWay(low, low)
    return ThreeWay.of_budgets(low, choose_operating_point(val.scores, val.labels, asked.review, saved.unit))


def _apart(saved: Saved, asked: Asked) -> tuple[str, Scored | None]:
    """Samples that had no part in the choice, and what to call them; without any, what chose it."""
    if asked.data is not None:
        return str(asked.data), score_data(saved, asked.data, asked.device)
    if asked.test:
        purpose = "the run's own threshold" if asked.rule is None else asked_for(asked.rule, saved.unit)
        return "test", score_test(saved, asked.device, asked.ledger, f"operating point: {purpose}")
    if asked.holdout:
        return "holdout", kept_apart(saved)
    return "validation", None


def _split(asked: Asked) -> str:
    """Whose whole images are judged."""
    if asked.holdout:
        return "holdout"
    return "test" if asked.test or asked.data else "val"


def _verdict_table(on: Scored, verdicts: ThreeWay, calibration: Calibration, rate: float, marks: list[str]) -> Any:
    kept = [column for column in ("path", "crop", "group", "label", "row", "score", "unfamiliar") if column in on.frame]
    return on.frame[kept].assign(
        probability=calibration.probabilities(on.scores).at(rate).values,
        verdict=verdicts.verdicts(on.scores, on.unfamiliar), marks="; ".join(marks),
    )  # fmt: skip


def _named(rule: Rule | None) -> dict[str, Any] | None:
    return None if rule is None else {"name": type(rule).__name__, **asdict(rule)}


def _say(
    saved: Saved, asked: Asked, found: dict[str, Operating], where: str, calibrated: dict[str, Any], out: Path
) -> None:
    purpose = "the run's own threshold" if asked.rule is None else asked_for(asked.rule, saved.unit)
    log.info("%s: %s", saved.run, purpose)
    for name, each in found.items():
        log.info("--- %s%s, %s classes", name, " (which chose it)" if name == "validation" else "", asked.balance)
        for line in operating_lines(each, asked.rule):
            log.info("    %s", line)
    say_calibration(calibrated)
    if where == "validation":
        log.warning(
            "these samples chose the threshold, so it looks better on them than it is: --test reports on the test "
            "split and records the look, --holdout on kept-apart images of training boards, --data on another manifest"
        )
    if where == "holdout":
        log.warning("these images are of boards that it was trained on, so it looks better on them than on new boards")
    for mark in saved.marks:
        log.warning("mark: %s", mark)
    log.info("written: %s; %s, %s and %s beside it", out / FILE, VERDICTS, CHART, DIAGRAM)
