"""Cross-validation: finetune once a fold, and pool what each judged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.supervised import CrossvalConfig, FinetuneConfig
from ssl_pcb.data.folds import fold_manifests
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.data.synthetic.embedded import EMBEDDED, embedded_manifest
from ssl_pcb.decision.calibration import TemperatureScaling
from ssl_pcb.decision.thresholds import choose_threshold
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.balance import Balance, counted
from ssl_pcb.evaluation.metrics import AT_ESCAPE
from ssl_pcb.evaluation.report import format_report
from ssl_pcb.reports.run import Run, open_run, read_config, read_run
from ssl_pcb.reports.saved import read_predictions
from ssl_pcb.stages.checks import check_resumable, refuse_moved_edges
from ssl_pcb.stages.judging import PREDICTIONS, Judging, calibration_of, save_predictions
from ssl_pcb.stages.report_command import say_report
from ssl_pcb.stages.start import start_stage

log = logging.getLogger(__name__)

RANKING = ("auroc", "average_precision", *AT_ESCAPE)
"""Metrics of an order, which no threshold has a part in."""

SHOWN = ("auroc", "average_precision", "escape_rate", "false_call_rate")
"""Metrics of the table of folds."""


def crossval(config: CrossvalConfig, asked: Mapping[str, Any], *, resume: bool = False) -> Path:
    """Run the stage.

    Args:
        config: Validated, with settings still ``auto``.
        asked: Dotted keys that were given explicitly; when resuming they must agree with the run's own.
        resume: Take up an unfinished run: finished folds are kept.

    Returns:
        The run folder.

    Raises:
        UserError: On whatever the user can mend.
    """
    if config.runtime.devices not in ("auto", 1):
        raise UserError("runtime.devices: crossval runs its folds in one process; leave --devices out")
    refuse_moved_edges(config.augment, config.data.context)
    run = open_run("crossval", config.runtime.out, resume=resume)
    try:
        if run.resumed:
            config = check_resumable(run, config, asked)
        name = str(config.data.manifest or EMBEDDED)
        manifest = Manifest.read(config.data.manifest or embedded_manifest())
        parts = fold_manifests(manifest, name, config.folds, config.disjoint, config.runtime.seed)
        pretraining = repeatable(config)
        if pretraining is not None:
            log.info("the pretraining of %s is repeated on each fold's training boards", config.checkpoint)
        with run:
            run.save_config(config)
            files = [run.folder / f"fold-{number}.csv" for number in range(1, config.folds + 1)]
            for file, part in zip(files, parts, strict=True):
                part.write(file)
            for number, file in enumerate(files, 1):
                log.info(
                    "--- fold %d of %d (it reports at a threshold that the samples it judges chose; the pooled report "
                    "takes that of the other folds)",
                    number, config.folds,
                )  # fmt: skip
                try:
                    _fold(config, pretraining, file)
                except UserError:
                    if not [*run.folder.glob("fold-*/")]:
                        run.withdraw()
                    raise
            run.note(**{key: read_run(files[0].with_suffix(""))[key] for key in ("data", "parameters")})
            _pool(config, [file.with_suffix("") for file in files], run)
    finally:
        run.forget_early_lines()
    log.info("run folder: %s", run.folder)
    say_report(run.folder)
    return run.folder


def repeatable(config: CrossvalConfig) -> PretrainConfig | None:
    """The config of the pretraining that each fold repeats, if it does.

    Raises:
        UserError: If the checkpoint is of no pretraining, or of one that cannot be repeated.
    """
    folder = Path(config.checkpoint)
    stage = read_run(folder).get("stage") if folder.is_dir() else None
    if stage is None or config.transductive:
        return None
    repeated = read_config(folder, stage)
    if not isinstance(repeated, PretrainConfig):
        raise UserError(
            f"{folder}: is a run of {stage}, which saw labels of the boards that are to judge; name a pretraining run"
        )
    if repeated.sees_references != config.data.references:
        saw, mend = ("golden images too", "give") if repeated.sees_references else ("images alone", "leave out")
        raise UserError(f"{folder}: its network has learned from {saw}; {mend} --references, or name another run")
    if repeated.shards is not None:
        raise UserError(
            f"{folder}: was pretrained from shards, which no fold can leave boards out of; pass --transductive to take "
            "it as it is, and mark it"
        )
    return repeated


def _fold(config: CrossvalConfig, pretraining: PretrainConfig | None, file: Path) -> None:
    folder = file.with_suffix("")
    here = {"manifest": file, "cache": config.data.cache}
    checkpoint = config.checkpoint
    if pretraining is not None:
        checkpoint = f"{folder}-pretrain"
        runtime = config.runtime.model_copy(update={"out": Path(checkpoint)})
        data = pretraining.data.model_copy(update=here)
        _unless_finished("pretrain", pretraining.model_copy(update={"data": data, "runtime": runtime}))
    shared = {key: value for key, value in config if key not in ("folds", "disjoint")}
    runtime = config.runtime.model_copy(update={"out": folder})
    data = config.data.model_copy(update=here)
    keys = shared | {"data": data, "runtime": runtime, "checkpoint": checkpoint, "select": "last"}
    _unless_finished("finetune", FinetuneConfig(**keys))


def _unless_finished(stage: str, config: PretrainConfig | FinetuneConfig) -> None:
    assert config.runtime.out is not None
    status = read_run(config.runtime.out).get("status")
    if status != "finished":
        start_stage(stage, config, {}, resume=status is not None)


def _pool(config: CrossvalConfig, folders: list[Path], run: Run) -> None:
    """Judge all folds' predictions together, and save them."""
    summaries = [json.loads((folder / "summary.json").read_text(encoding="utf-8")) for folder in folders]
    folds = pd.concat(_judged_by_others([_predictions(folder) for folder in folders]))
    pooled = folds.sort_values("row", kind="stable", ignore_index=True)  # a balanced draw must not hang on the folds
    labels = _labels(pooled)

    def judged(scores: pd.Series[float]) -> dict[str, Any]:
        return Judging.of(config).report_on(
            np.asarray(scores, dtype=np.float64), labels, 0.0, pooled["group"].tolist(), pooled["path"].tolist(),
            summaries[0]["reports"]["val"]["unit"],
        )  # fmt: skip

    # Verdicts are those at each fold's threshold. Ranks are of the bare scores: a fold that scores higher than the
    # others raises their thresholds, not its own, so that less its threshold it would stand apart twice as far.
    report, ranked = judged(pooled["score"] - pooled["threshold"]), judged(pooled["score"])
    report["metrics"] |= {name: ranked["metrics"][name] for name in RANKING}
    report["calibration"] = calibration_of(pooled["probability"].to_numpy(), labels)
    save_predictions([pooled], run.folder / PREDICTIONS)
    rows = list(_rows(summaries, pooled, config.test_balance))
    run.save_metrics(rows)
    table = pd.DataFrame(rows)
    marks = list(dict.fromkeys(mark for summary in summaries for mark in summary["marks"]))
    spread = {name: {"mean": table[name].mean(), "deviation": table[name].std()} for name in SHOWN}
    summary: dict[str, Any] = {
        "stage": "crossval", "network": summaries[0]["network"], "checkpoint": config.checkpoint, "marks": marks,
        "disjoint": config.disjoint, "folds": rows, "over_folds": spread, "reports": {"val": report},
    }  # fmt: skip
    run.save_summary(summary)
    _say(table, spread, report, marks)


def _labels(frame: pd.DataFrame) -> NDArray[np.int64]:
    return np.where(frame["label"].eq(LABELS[1]), 1, 0)


def _predictions(folder: Path) -> pd.DataFrame:
    frame = read_predictions(folder / PREDICTIONS)
    return frame[frame["split"].eq("val")].assign(fold=int(folder.name.removeprefix("fold-")))


def _judged_by_others(frames: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Each fold's predictions at the threshold and temperature that the *other* folds' choose."""
    for own in frames:
        others = pd.concat([frame for frame in frames if frame is not own])
        labels = _labels(others)
        threshold = choose_threshold(others["score"], labels, "balanced_accuracy")
        calibration = TemperatureScaling.fit(others["score"], labels)
        called = own["score"].ge(threshold).map({True: LABELS[1], False: LABELS[0]})
        yield own.assign(
            threshold=threshold, verdict=called, probability=calibration.probabilities(own["score"].to_numpy())
        )


def _rows(summaries: list[dict[str, Any]], pooled: pd.DataFrame, balance: Balance) -> Iterator[dict[str, Any]]:
    for fold, (summary, (_, own)) in enumerate(zip(summaries, pooled.groupby("fold"), strict=True), 1):
        ranking = summary["reports"]["val"]["metrics"]
        own = own.iloc[counted(_labels(own), balance)]  # as the fold's own report
        defective, called = own["label"].eq(LABELS[1]), own["verdict"].eq(LABELS[1])
        yield {
            "fold": fold, "balance": balance,
            "samples": len(own), "defective": int(defective.sum()), "groups": own["group"].nunique(),
            "auroc": ranking["auroc"]["value"], "average_precision": ranking["average_precision"]["value"],
            "escape_rate": float((~called[defective]).mean()), "false_call_rate": float(called[~defective].mean()),
        }  # fmt: skip


def _say(table: pd.DataFrame, spread: Mapping[str, Any], report: dict[str, Any], marks: list[str]) -> None:
    log.info("each fold, at the threshold that the others' predictions choose:")
    for line in table.to_string(index=False, float_format="{:.3f}".format).splitlines():
        log.info("    %s", line)
    for name, found in spread.items():
        log.info("    %s: mean %.3f, standard deviation %.3f over folds", name, found["mean"], found["deviation"])
    log.info("all folds pooled:")
    for line in format_report(report):
        log.info("    %s", line)
    for mark in marks:
        log.warning("mark: %s", mark)
