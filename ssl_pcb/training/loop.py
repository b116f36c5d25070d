"""The one training loop."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from ssl_pcb.config.optim import TrainingConfig
from ssl_pcb.data.loaders import Batch, fetched
from ssl_pcb.errors import DivergedError
from ssl_pcb.training.checkpoint import load_state, save_state
from ssl_pcb.training.clipping import advise_clipping
from ssl_pcb.training.norms import prepare_norms
from ssl_pcb.training.profiling import profiled
from ssl_pcb.training.runtime import derive_seed, make_generator
from ssl_pcb.training.step import Step

log = logging.getLogger(__name__)

SAY_EVERY = 15.0
"""Least seconds between two epochs' lines on the terminal; the log file has them all."""


class Batches(Sized, Iterable[Batch], Protocol):
    """A finite run of batches."""


@dataclass
class Progress:
    """Where a training stands; saved with the weights and given back by ``--resume``.

    Attributes:
        epoch: Finished epochs.
        stopped: Set by the caller when this epoch shall be the last.
        kept: What the caller keeps from epoch to epoch; plain values and tensors only.
    """

    epoch: int = 0
    stopped: bool = False
    kept: dict[str, Any] = field(default_factory=dict)


def fit(
    objective: nn.Module,
    optimizer: Optimizer,
    config: TrainingConfig,
    batches_of: Callable[[int], Batches],
    fabric: Fabric,
    *,
    seed: int,
    average: ModelEmaV3 | None = None,
    layout: torch.memory_format = torch.contiguous_format,
    state_folder: Path | None = None,
    profile_folder: Path | None = None,
    after_epoch: Callable[[Progress, dict[str, float]], None] | None = None,
    label: str = "training",
    quiet: bool = False,
) -> Progress:
    """Train for ``config.epochs`` epochs, or until the caller stops it.

    Every epoch starts from random states derived from the seed and its number alone. A training that is
    killed and taken up again after its last finished epoch therefore ends with the same bits as one that was
    not.

    Args:
        objective: Called with (batch, generator), returns a ``StepOutput``.
        optimizer: Over the objective's parameters.
        config: Epochs, learning-rate curve, clipping.
        batches_of: Epoch number to its batches; with several processes, to this one's share of each.
        fabric: Device, precision and processes.
        seed: The run's seed.
        average: Follows the objective, and is saved with it; ``None`` = nothing does.
        layout: Memory format of weights and images.
        state_folder: Where the state for ``--resume`` is saved after each epoch and taken up from; ``None``
            = nowhere.
        profile_folder: Where the profile of the first steps is written; ``None`` = nowhere.
        after_epoch: Called on every process with the progress and the epoch's mean logs, before the first one
            saves the state; may add logs, fill ``progress.kept`` and set ``progress.stopped``.
        label: What the progress bar calls this.
        quiet: Say nothing: one of many short trainings.

    Returns:
        The final progress.

    Raises:
        DivergedError: If the loss is no longer finite.
    """
    progress = Progress()
    prepare_norms(objective, fabric)
    networks = {"objective": objective, **({} if average is None else {"average": average})}
    for network in networks.values():
        network.to(fabric.device, memory_format=layout)  # type: ignore[call-overload]
    if not quiet:
        advise_clipping(config.clip, objective)
    step = Step(objective, optimizer, config, fabric, average)
    state = load_state(state_folder) if state_folder else None
    if state is not None:
        for name, network in networks.items():
            network.load_state_dict(state[name])
        optimizer.load_state_dict(state["optimizer"])
        progress = Progress(state["epoch"], state.get("stopped", False), state["kept"])
        log.info("resumed after epoch %d of %d", progress.epoch, config.epochs)
    show_bar = sys.stderr.isatty() and not quiet and fabric.is_global_zero
    said = began = time.perf_counter()
    first = progress.epoch
    while progress.epoch < config.epochs and not progress.stopped:
        # Dropout and its like draw from the global generator; no two processes may draw alike.
        purpose = (progress.epoch, *([fabric.global_rank] if fabric.global_rank else []))
        torch.manual_seed(derive_seed(seed, "epoch", *purpose))
        generator = make_generator(fabric.device, seed, "views", *purpose)
        batches = batches_of(progress.epoch)
        objective.train()
        with tqdm(
            batches,
            f"{label} {progress.epoch + 1}/{config.epochs}",
            disable=not show_bar,
            leave=False,
            unit="step",
        ) as bar:
            profile = profile_folder if progress.epoch == first and fabric.is_global_zero else None
            logs = _epoch(step, bar, len(batches), progress.epoch, generator, profile)
        progress.epoch += 1
        for network in networks.values():
            _share_buffers(network, fabric)
        if after_epoch is not None:
            after_epoch(progress, logs)
        if state_folder is not None and fabric.is_global_zero:
            save_state(
                state_folder,
                **{name: network.state_dict() for name, network in networks.items()},
                optimizer=optimizer.state_dict(),
                **vars(progress),
            )
        now = time.perf_counter()
        to_go = 0 if progress.stopped else config.epochs - progress.epoch
        left = (now - began) / (progress.epoch - first) * to_go
        # Long epochs get a line each; of short ones only some, so that no page of them scrolls by.
        due = not quiet and (now - said > SAY_EVERY or progress.epoch == 1 or not to_go)
        log.log(logging.INFO if due else logging.DEBUG, _line(progress.epoch, config.epochs, logs, left))
        said = now if due else said
    return progress


def _epoch(
    step: Step, bar: Any, steps: int, epoch: int, generator: torch.Generator, profile: Path | None
) -> dict[str, float]:
    """Take ``steps`` steps; returns means over them and over the processes."""
    fabric, total = step.fabric, step.config.epochs * steps
    sums: dict[str, Tensor] = {}
    start, samples = time.perf_counter(), 0
    ready = fetched(bar, fabric.device)
    for number, batch in enumerate(profiled(ready, profile, fabric.device) if profile else ready):
        found = step(batch, generator, epoch * steps + number, total)
        samples += len(batch.labels) * fabric.world_size
        for name, value in found.items():
            sums[name] = value.float() + sums[name] if name in sums else value.float()
        if number % 10 == 0 or number == steps - 1:  # reading the loss makes a GPU wait, so not every step
            loss = float(_mean(sums["loss"], fabric)) / (number + 1)
            _refuse_divergence(loss, epoch)
            rate = samples / (time.perf_counter() - start)
            bar.set_postfix_str(f"loss {loss:.4f}, {rate:.0f} samples/s")
    seconds = time.perf_counter() - start
    means = dict(zip(sums, (_mean(torch.stack([*sums.values()]), fabric) / steps).tolist(), strict=True))
    return {**means, "lr": step.lr, "seconds": seconds, "samples_per_second": samples / seconds}


def _share_buffers(module: nn.Module, fabric: Fabric) -> None:
    """Give every process the first one's batch-norm statistics: they judge together what the first one saves."""
    if fabric.world_size > 1:
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, 0)


def _mean(value: Tensor, fabric: Fabric) -> Tensor:
    """Mean over the processes, so that all of them read the same and act alike."""
    mean: Tensor = fabric.all_reduce(value, reduce_op="mean") if fabric.world_size > 1 else value  # type: ignore[assignment]
    return mean


def _line(epoch: int, epochs: int, logs: dict[str, float], left: float) -> str:
    shown = {name: value for name, value in logs.items() if name not in ("seconds", "samples_per_second", "lr")}
    figures = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
    return f"epoch {epoch}/{epochs}: {figures}; {logs['samples_per_second']:.0f} samples/s, {left:.0f} s left"


def _refuse_divergence(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise DivergedError(
            f"training diverged in epoch {epoch + 1}: the loss is no longer a number; "
            "lower optimizer.lr or lengthen training.warmup"
        )
