"""From a stage's name and config to the finished run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_pcb.config.stages import FinetuneConfig, LinearEvalConfig, PretrainConfig, StageConfig
from ssl_pcb.reports.run import open_run
from ssl_pcb.stages.checks import check_resumable
from ssl_pcb.stages.finetune import finetune
from ssl_pcb.stages.linear_eval import linear_eval
from ssl_pcb.stages.pretrain import pretrain

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
    run = open_run(stage, config.runtime.out, resume=resume)
    try:
        if run.resumed:
            config = check_resumable(run, config, asked)
        match config:
            case PretrainConfig():
                pretrain(config, run)
            case LinearEvalConfig():
                linear_eval(config, run)
            case FinetuneConfig():
                finetune(config, run)
    finally:
        run.forget_early_lines()
    log.info("run folder: %s", run.folder)
    return run.folder
