"""What the terminal shows of an evaluation."""

from __future__ import annotations

import logging
from pathlib import Path

from ssl_pcb.decision.operating_point import Given
from ssl_pcb.evaluation.bootstrap import real_boards
from ssl_pcb.reports.operating_lines import operating_lines, thresholds
from ssl_pcb.stages.calibrate import say_calibration
from ssl_pcb.stages.evaluating.found import Evaluation
from ssl_pcb.stages.evaluating.written import CHART, DIAGRAM, FILE, PANELS, VERDICTS
from ssl_pcb.stages.gap import gap_lines
from ssl_pcb.stages.panels import panel_figures, panel_lines

log = logging.getLogger(__name__)


def say_evaluation(found: Evaluation, out: Path) -> None:
    """Log what was asked for, what came of it, and where it is written."""
    asked, saved = found.asked, found.saved
    log.info("%s: %s: %s", saved.run, asked.purpose(saved.unit), thresholds(found.verdicts))
    chose = not isinstance(asked.rule, Given)
    for name, each in found.operating.items():
        log.info(
            "--- %s%s, %s classes", name, " (which chose it)" if name == "validation" and chose else "", asked.balance
        )
        for line in operating_lines(each, asked.rule, found.verdicts):
            log.info("    %s", line)
    say_calibration(found.calibrated)
    for line in [] if found.gap is None else gap_lines(found.gap):
        log.info("%s", line)
    if found.panels is not None:
        log.info("--- whole images of %s, by windows that overlap", asked.panels_of)
    for line in [] if found.panels is None else panel_lines(panel_figures(found.panels)):
        log.info("%s", line)
    if found.where == "validation" and asked.data is not None:
        log.warning("the rates per tile are of validation; of %s whole images alone were judged", asked.data)
    elif found.where == "validation" and chose:
        log.warning(
            "the operating point was chosen on these samples, so it looks better on them than it is: --test reports on "
            "the test split and records the look, --holdout on kept-apart images of training boards, --data on another "
            "manifest"
        )
    if found.where == "holdout":
        log.warning("these images are of boards that it was trained on, so it looks better on them than on new boards")
    boards = found.on.groups
    if real_boards(boards) and len(set(boards)) == 1:
        log.warning("all of these are of one board, '%s': what others do to the rates is not measured", boards[0])
    for mark in saved.marks:
        log.warning("mark: %s", mark)
    tables = VERDICTS if found.panels is None else f"{VERDICTS}, {PANELS}"
    log.info("written: %s; %s, %s and %s beside it", out / FILE, tables, CHART, DIAGRAM)
