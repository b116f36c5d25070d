"""From a run's saved predictions to an operating point that a line can be staked on."""

from __future__ import annotations

from pathlib import Path

from ssl_pcb.decision.bounds import checked_rate
from ssl_pcb.decision.operating_point import refuse_few
from ssl_pcb.evaluation.operating import operate
from ssl_pcb.reports.saved import need_both_classes, read_saved
from ssl_pcb.stages.calibrate import choose_calibration, measure_calibration
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.evaluating.asked import Asked
from ssl_pcb.stages.evaluating.choosing import choose_verdicts, samples_apart
from ssl_pcb.stages.evaluating.found import Evaluation
from ssl_pcb.stages.evaluating.labels import refuse_relabelled
from ssl_pcb.stages.evaluating.told import say_evaluation
from ssl_pcb.stages.evaluating.written import FILE, write_evaluation
from ssl_pcb.stages.familiarity import Familiarity
from ssl_pcb.stages.gap import measure_gap, open_gap
from ssl_pcb.stages.panels import judge_panels, open_tile_judge
from ssl_pcb.stages.report_command import say_report
from ssl_pcb.stages.robustness import measure_robustness
from ssl_pcb.stages.validation import Validation

MOST = 2000
"""Most validation samples whose pictures are corrupted."""


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
    found = find_operating_point(run, asked)
    write_evaluation(found, out)
    say_evaluation(found, out)
    if found.camera is not None:
        measure_robustness(found.camera, out / "robustness")
    say_report(run)
    return out / FILE


def find_operating_point(run: Path, asked: Asked) -> Evaluation:
    """The same, of which nothing is written or said yet, but for a look at a test split, which the ledger has.

    Raises:
        UserError: On whatever the user can mend.
    """
    saved = read_saved(run)
    val = saved.split("val")
    for budget in (asked.rule, asked.review):
        refuse_few(budget, val.labels, saved.unit)
    need_both_classes(val, f"{run}: validation")
    refuse_relabelled(saved, asked.data)
    if asked.defect_rate is not None:
        checked_rate("--defect-rate", asked.defect_rate)
    verdicts = choose_verdicts(saved, val, asked)
    # What else is asked is opened first: a run that cannot answer it is refused before its look is recorded.
    tile_judge = open_tile_judge(saved, asked.device) if asked.panels else None
    camera = None
    if asked.robustness:
        camera = Validation.open(
            run, None, samples=MOST, balance=asked.balance, threshold=verdicts.low, seed=asked.seed,
            device=asked.device,
        )  # fmt: skip
    familiarity = None
    if asked.unfamiliar is not None:
        familiarity = Familiarity.open(saved, val, asked.unfamiliar, asked.device)
    calibration = choose_calibration(saved, val, asked.calibration)
    trained = open_gap(saved, asked.device) if asked.gap else None
    where, judged = samples_apart(saved, asked)
    panels = None
    if tile_judge is not None:
        look = asked.ledger, f"whole images at the operating point: {asked.purpose(saved.unit)}"
        panels = judge_panels(saved, *tile_judge, asked.data, asked.split, verdicts, look)
    if familiarity is not None:
        val = familiarity.mark(val, None)
        judged = None if judged is None else familiarity.mark(judged, asked.data)
    calibrated, bins = measure_calibration(calibration, asked.calibration, val, judged)
    rate = asked.defect_rate or float(val.labels.mean())
    operating = {
        name: operate(
            each.counted(asked.balance).frame, verdicts, saved.unit, rate, resamples=asked.resamples, seed=asked.seed
        )
        for name, each in {"validation": val, **({} if judged is None else {where: judged})}.items()
    }  # fmt: skip
    return Evaluation(
        saved, asked, where, val, val if judged is None else judged, verdicts,
        None if familiarity is None else familiarity.limit, calibration, calibrated, bins, rate, operating,
        panels=panels,
        camera=camera,
        gap=None if trained is None else measure_gap(saved, *trained, val, judged if asked.test else None, asked.seed),
    )  # fmt: skip
