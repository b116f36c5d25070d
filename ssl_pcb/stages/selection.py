"""Which epoch of a finetuning is kept, and when waiting for a better one ends."""

from __future__ import annotations

import logging

from torch import nn

from ssl_pcb.config.stages import FinetuneConfig
from ssl_pcb.training.checkpoint import copy_of
from ssl_pcb.training.loop import Progress

log = logging.getLogger(__name__)


def keep_best(model: nn.Module, progress: Progress, logs: dict[str, float], config: FinetuneConfig) -> None:
    """Keep ``model`` in ``progress`` if none was better on validation; stop if none was for ``config.patience`` epochs.

    Args:
        model: As judged after the last epoch.
        progress: Holds the best so far, and so survives ``--resume``.
        logs: The epoch's, with ``val_`` measures; ``best`` is added.
        config: What chooses, and how long to wait.
    """
    found, best = logs[f"val_{config.select}"], progress.kept.get("score", -1.0)
    if found > best:
        progress.kept = {"score": found, "epoch": progress.epoch, "model": copy_of(model)}
    logs["best"] = max(found, best)
    waited = progress.epoch - progress.kept["epoch"]
    progress.stopped = config.patience is not None and waited >= config.patience


def say_best(progress: Progress, config: FinetuneConfig) -> None:
    """Log which epoch was best, and whether training stopped before its end."""
    if progress.epoch < config.training.epochs:
        log.info(
            "stopped after epoch %d of %d: validation %s was no better in the last %d (patience)",
            progress.epoch, config.training.epochs, config.select, progress.epoch - progress.kept["epoch"],
        )  # fmt: skip
    log.info("best epoch on validation: %d of %d", progress.kept["epoch"], config.training.epochs)
