"""Which epoch of a finetuning is kept, and when waiting for a better one ends."""

from __future__ import annotations

import logging

from torch import nn

from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.training.checkpoint import copy_of
from ssl_pcb.training.loop import Progress

log = logging.getLogger(__name__)


def kept_by(config: FinetuneConfig) -> str:
    """By what the kept epoch was chosen, in words."""
    return "being the last" if config.select == "last" else f"validation {config.select}"


def keep_best(model: nn.Module, progress: Progress, logs: dict[str, float], config: FinetuneConfig) -> None:
    """Keep ``model`` in ``progress`` if none was better on validation; stop if none was for ``config.patience`` epochs.

    Of equals the last is kept: few validation labels are soon all in order, while the rate is still high and the
    weights far from settled.

    Args:
        model: As judged after the last epoch.
        progress: Holds the best so far, and so survives ``--resume``.
        logs: The epoch's, with ``val_`` measures; ``best`` is added.
        config: What chooses, and how long to wait.
    """
    best = progress.kept.get("score", -1.0)
    found = float(progress.epoch) if config.select == "last" else logs[f"val_{config.select}"]
    if found >= best:
        since = progress.epoch if found > best else progress.kept["since"]
        progress.kept = {"score": found, "epoch": progress.epoch, "since": since, "model": copy_of(model)}
    logs["best"] = max(found, best)
    waited = progress.epoch - progress.kept["since"]
    progress.stopped = config.patience is not None and waited >= config.patience


def say_kept(progress: Progress, config: FinetuneConfig) -> None:
    """Log which epoch was kept, and whether training stopped before its end."""
    epochs = config.training.epochs
    if progress.epoch < epochs:
        log.info(
            "stopped after epoch %d of %d: %s was no better in the last %d (patience)",
            progress.epoch, epochs, kept_by(config), progress.epoch - progress.kept["since"],
        )  # fmt: skip
    if not epochs:
        log.info("the probe that the head began with is the classifier")
        return
    log.info("kept epoch: %d of %d, by %s", progress.kept["epoch"], epochs, kept_by(config))
