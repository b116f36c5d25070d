"""From scores to saved predictions and reports; shared by linear-eval and finetune."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.supervised import CrossvalConfig, FinetuneConfig
from ssl_pcb.data.files import whole_file
from ssl_pcb.data.samples import Samples
from ssl_pcb.decision.calibration import TemperatureScaling, expected_calibration_error
from ssl_pcb.decision.thresholds import choose_threshold, decide
from ssl_pcb.evaluation.balance import Balance, counted
from ssl_pcb.evaluation.by_type import by_type
from ssl_pcb.evaluation.metrics import brier_score
from ssl_pcb.evaluation.report import evaluate_scores, format_report
from ssl_pcb.reports.ledger import record_test_touch
from ssl_pcb.reports.run import Run
from ssl_pcb.reports.saved import sample_columns
from ssl_pcb.stages.weights import Start

log = logging.getLogger(__name__)

PREDICTIONS = "predictions.csv"
LEDGER = "test_ledger.csv"

TITLES = {
    "holdout": "kept-apart images of the training boards",
    "val": "validation boards (these chose the threshold)",
    "test": "test boards",
}


def splits_to_judge(samples: Samples, test: bool) -> list[str]:
    """The splits that get a report: validation, the kept-apart images if labelled, and test if asked.

    Raises:
        UserError: If validation, or a test that was asked for, lacks a class.
    """
    holdout = samples.labels[samples.rows("holdout", labelled=True)]
    for split in ["val", *(["test"] if test else [])]:
        samples.supervised(split)
    return [*(["holdout"] if len(np.unique(holdout)) == 2 else []), "val", *(["test"] if test else [])]


@dataclass(frozen=True)
class Judging:
    """How reports are made.

    Attributes:
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
        balance: Which samples are counted, see :func:`ssl_pcb.evaluation.balance.counted`.
    """

    resamples: int
    seed: int
    balance: Balance

    @classmethod
    def of(cls, config: LinearEvalConfig | FinetuneConfig | CrossvalConfig) -> Judging:
        """As ``config`` has it."""
        return cls(config.resamples, config.runtime.seed, config.test_balance)

    def report(
        self, scores: NDArray[np.float64], rows: NDArray[np.int64], samples: Samples, threshold: float
    ) -> dict[str, Any]:
        """The report on scores (N,) of labelled manifest rows (N,).

        See :func:`ssl_pcb.evaluation.report.evaluate_scores`; ``balance`` says what was counted.
        """
        groups, images = samples.column("group", rows), samples.column("path", rows)
        return self.report_on(scores, samples.labels[rows], threshold, groups, images, samples.unit)

    def report_on(
        self,
        scores: NDArray[np.float64],
        labels: NDArray[np.int64],
        threshold: float,
        groups: Sequence[str],
        images: Sequence[str],
        unit: str,
    ) -> dict[str, Any]:
        """The same of samples (N,) that no manifest is at hand for."""
        kept = counted(labels, self.balance)
        groups, images = ([names[number] for number in kept] for names in (groups, images))
        report = evaluate_scores(
            scores[kept], labels[kept], threshold, groups, images, unit, resamples=self.resamples, seed=self.seed
        )
        return report | {"balance": self.balance}


def judge(
    scores: Mapping[str, NDArray[np.float64]], samples: Samples, file: Path, reservations: list[str], judging: Judging
) -> dict[str, Any]:
    """Choose threshold and temperature on validation, report every split at them, save all predictions.

    Args:
        scores: Split to log-odds of Defective (N,) of its labelled rows; must hold ``val``.
        samples: The data.
        file: CSV that all predictions are saved to.
        reservations: What each of them must say, from :func:`marks`.
        judging: How reports are made.

    Returns:
        Split to report (:meth:`Judging.report`), with ``calibration`` and, where types of defects are known,
        ``by_type`` (:func:`ssl_pcb.evaluation.by_type.by_type`).
    """
    val_labels = samples.labels[samples.rows("val", labelled=True)]
    threshold = choose_threshold(scores["val"], val_labels, "balanced_accuracy")
    calibration = TemperatureScaling.fit(scores["val"], val_labels)
    reports, tables = {}, []
    for split, found in scores.items():
        rows = samples.rows(split, labelled=True)
        probabilities = calibration.probabilities(found)
        reports[split] = judging.report(found, rows, samples, threshold)
        reports[split]["by_type"] = by_type(found, samples.labels[rows], threshold, samples.column("types", rows))
        reports[split]["calibration"] = {"temperature": calibration.temperature} | calibration_of(
            probabilities, samples.labels[rows]
        )
        tables.append(predictions(samples, rows, found, probabilities, decide(found, threshold), reservations))
    save_predictions(tables, file)
    return reports


def calibration_of(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """How far probabilities of Defective (N,) are off."""
    return {
        "ece": expected_calibration_error(probabilities, labels),
        "brier": brier_score(probabilities, labels),
    }


def predictions(
    samples: Samples,
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    verdicts: NDArray[np.bool_],
    reservations: list[str],
) -> pd.DataFrame:
    """The table of predictions for manifest ``rows`` (N,), as ``predictions.csv`` has it."""
    frame = sample_columns(samples.manifest.frame.iloc[rows])
    return frame.assign(
        row=rows,
        score=scores,
        probability=probabilities,
        verdict=np.where(verdicts, "Defective", "NonDefective"),
        marks="; ".join(reservations),
    )


def save_predictions(tables: Sequence[pd.DataFrame], file: Path) -> None:
    """Write tables of :func:`predictions` one below the other, whole or not at all."""
    with whole_file(file) as part:
        pd.concat(tables).to_csv(part, index=False, lineterminator="\n")


def say_reports(reports: Mapping[str, Any], reservations: list[str]) -> None:
    """Log every report in a few lines, and what must be said with it."""
    for split, report in reports.items():
        log.info("--- %s", TITLES[split])
        for line in format_report(report):
            log.info("    %s", line)
    for reservation in reservations:
        log.warning("mark: %s", reservation)
    if "test" not in reports:
        log.info("no test board was looked at (--test of linear-eval and finetune does, and records it in the ledger)")


def record_test(
    run: Run,
    ledger: Path,
    samples: Samples,
    purpose: str,
    scores: NDArray[np.float64],
    start: Start,
    balance: Balance,
) -> None:
    """Write one look at the test split into the run's and the project's ledger, before anything is told of it.

    Its AUROC is of all samples, whatever ``balance`` the reports have.
    """
    rows = samples.rows("test", labelled=True)
    record_test_touch(
        [run.folder / LEDGER, ledger],
        {
            "command": run.stage,
            "run": str(run.folder),
            "data": samples.name,
            "data_fingerprint": samples.fingerprint(labels=True),
            "split": "test",
            "boards": " ".join(sorted(set(samples.column("group", rows)))),
            "samples": str(len(rows)),
            "auroc": f"{roc_auc_score(samples.labels[rows], scores):.4f}",
            "purpose": f"{purpose}, {balance} classes" if balance != "natural" else purpose,
            "transductive": start.leak or "",
        },
    )


def marks(samples: Samples | None, start: Start) -> list[str]:
    """Reservations that every output repeats."""
    if samples is None:
        return [*start.reservations]
    found = [] if samples.manifest.board_disjoint else ["not board-disjoint"]
    skipped = [f"{len(samples.store.bad)} unreadable files left out"] if samples.store.bad else []
    return [*found, *skipped, *start.reservations]
