"""From a stage's name and config to the finished run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.config.stages import StageConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.reports.run import Run, open_run
from ssl_pcb.stages.checks import check_resumable, refuse_missing_weights
from ssl_pcb.stages.finetune import finetune
from ssl_pcb.stages.linear_eval import linear_eval
from ssl_pcb.stages.pretrain import pretrain
from ssl_pcb.stages.report_command import say_report
from ssl_pcb.training.compiling import refuse_missing_compiler
from ssl_pcb.training.processes import count_processes, make_fabric, refuse_uneven, together

log = logging.getLogger(__name__)


def start_stage(stage: str, config: StageConfig, asked: Mapping[str, Any], *, resume: bool = False) -> Path:
    """Run a stage.

    Args:
        stage: Its name on the command line.
        config: Validated, with settings still ``auto``.
        asked: Dotted keys that were given explicitly; when resuming they must agree with the run's own.
        resume: Take up an unfinished run with the config that it holds.

    Returns:
        The run folder.

    Raises:
        UserError: On whatever the user can mend.
    """
    if not resume:  # a run to resume has a batch of its own
        _refuse_uneven(config)
        refuse_missing_weights(config)
    if getattr(config, "compile", False):
        refuse_missing_compiler()
    fabric = make_fabric(config.runtime)
    with together(fabric):
        run = _open_together(stage, config.runtime.out, fabric, resume=resume)
        try:
            if run.resumed:
                config = _with_processes(check_resumable(run, config, asked), config.runtime)
                _refuse_uneven(config)
            match config:
                case PretrainConfig():
                    pretrain(config, run, fabric)
                case LinearEvalConfig():
                    linear_eval(config, run, fabric)
                case FinetuneConfig():
                    finetune(config, run, fabric)
        finally:
            run.forget_early_lines()
    log.info("run folder: %s", run.folder)
    say_report(run.folder)
    return run.folder


def _refuse_uneven(config: StageConfig) -> None:
    if not isinstance(config, LinearEvalConfig):  # whose batches are the first process' own
        refuse_uneven(config.training.batch_size, config.runtime)


def _with_processes(config: Any, now: RuntimeConfig) -> Any:
    """The config of the run to resume, with as many processes as there are now."""
    began, (devices, nodes) = config.runtime, count_processes(now)
    if began.devices * began.nodes != devices * nodes:
        log.warning(
            "resumed with %d processes instead of %d: the weights will not be the same bit for bit",
            devices * nodes, began.devices * began.nodes,
        )  # fmt: skip
    runtime = began.model_copy(update={"devices": devices, "nodes": nodes, "timeout": now.timeout})
    return config.model_copy(update={"runtime": runtime})


def _open_together(stage: str, out: Path | None, fabric: Fabric, *, resume: bool) -> Run:
    """The run folder that the first process opens; the others look on."""
    if fabric.is_global_zero:
        run = open_run(stage, out, resume=resume)
        fabric.broadcast((run.folder, run.resumed))
        return run
    folder, resumed = fabric.broadcast((Path(), False))
    return Run(stage, folder, resumed=resumed, writes=False)
