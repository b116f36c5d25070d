"""Several processes as one: how many, who does what, what each found brought together, and a dead one noticed."""

from __future__ import annotations

import atexit
import os
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch import Tensor

from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.loaders import Share
from ssl_pcb.errors import UserError
from ssl_pcb.training.fastest import Workload, resolve_runtime
from ssl_pcb.training.runtime import pick_device

LOST = (
    "connection closed", "connection reset", "socket closed", "pair closure", "broken pipe", "timed out",
    "connect timeout", "not connected", "gloo/transport/",
)  # fmt: skip
"""What gloo and its store say, in several wordings, when a process that they wait for is gone."""


def count_processes(config: RuntimeConfig) -> tuple[int, int]:
    """Processes a machine, and machines; ``auto`` follows torchrun or SLURM.

    Raises:
        UserError: If the config names other numbers than those that torchrun or SLURM started.
    """
    devices, nodes = _started_outside() or (None, None)
    for key, asked, given in (("devices", config.devices, devices), ("nodes", config.nodes, nodes)):
        if given is not None and asked not in ("auto", given):
            raise UserError(f"runtime.{key}: is {asked}, but this process was started as one of {given}; leave it out")
    return (
        devices or (1 if config.devices == "auto" else config.devices),
        nodes or (1 if config.nodes == "auto" else config.nodes),
    )


def make_fabric(config: RuntimeConfig) -> Fabric:
    """Fabric on the configured device and precision, over all processes.

    The first call starts the other processes of this machine, which run the same command; later calls find
    them running.
    """
    devices, nodes = count_processes(config)
    device = pick_device(config)
    if device == "cuda":  # a resumed run ends with the same bits only if kernels do
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
        if devices > torch.cuda.device_count():
            raise UserError(f"runtime.devices: {devices} asked for, but torch finds {torch.cuda.device_count()} GPUs")
    if devices * nodes == 1:
        return alone(config)
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        num_nodes=nodes,
        strategy=DDPStrategy(timeout=timedelta(seconds=config.timeout)),
        precision=_precision(config),
    )
    try:
        fabric.launch()
    except torch.distributed.DistError as error:
        _end_started(fabric)
        raise UserError(
            f"runtime.timeout: of {devices * nodes} processes not all came together within {config.timeout} s "
            f"({_reason(error)}); start all of them, or wait longer"
        ) from None
    # With its threads still running, gloo aborts some of the interpreters that end; Fabric ends NCCL's only.
    atexit.register(_leave_group)
    return fabric


def alone(config: RuntimeConfig) -> Fabric:
    """Fabric of this process by itself, whatever others there are: for what only one of them computes."""
    return Fabric(accelerator=pick_device(config), devices=1, precision=_precision(config))


def resolve_together(config: RuntimeConfig, fabric: Fabric, work: Workload) -> RuntimeConfig:
    """As :func:`~ssl_pcb.training.fastest.resolve_runtime`, measured by the first process for all."""
    measured = resolve_runtime(config, work) if fabric.is_global_zero else config
    runtime = fabric.broadcast(measured)
    torch.set_num_threads(runtime.threads)
    devices, nodes = count_processes(config)
    return runtime.model_copy(update={"devices": devices, "nodes": nodes})


@contextmanager
def together(fabric: Fabric) -> Iterator[None]:
    """While the processes work together: when this one fails, those that it started end with it.

    Raises:
        UserError: If another process died, or did not answer for ``runtime.timeout`` seconds.
    """
    try:
        yield
    except BaseException as error:
        _end_started(fabric)
        if fabric.world_size > 1 and isinstance(error, RuntimeError) and _is_loss(error):
            raise UserError(
                f"process {fabric.global_rank} of {fabric.world_size}: another process of this run died or hangs "
                f"({_reason(error)}); the same command with --resume goes on"
            ) from None
        raise


def share_of(fabric: Fabric) -> Share:
    """This process' share of every batch."""
    return Share(fabric.global_rank, fabric.world_size)


def gather_shares(found: Tensor, total: int, fabric: Fabric) -> Tensor:
    """Rows (total, ...) in their order from every process' share of them (N, ...), on each process."""
    if fabric.world_size == 1:
        return found
    longest = -(-total // fabric.world_size)
    padded = found.new_zeros(longest, *found.shape[1:])
    padded[: len(found)] = found
    every: Any = fabric.all_gather(padded)
    return every.transpose(0, 1).reshape(-1, *found.shape[1:])[:total]  # type: ignore[no-any-return]


def refuse_uneven(batch_size: int, config: RuntimeConfig) -> None:
    """Refuse a batch that does not divide among the processes, with at least two samples for each."""
    devices, nodes = count_processes(config)
    world = devices * nodes
    if batch_size % world or batch_size < 2 * world:
        fits = max(2 * world, batch_size // world * world)
        raise UserError(
            f"training.batch_size: {batch_size} samples a step do not divide among {world} processes with at least "
            f"2 for each; try --batch-size {fits}, or fewer --devices"
        )


def _started_outside() -> tuple[int, int] | None:
    """Processes a machine and machines, if torchrun or SLURM started this process."""
    if TorchElasticEnvironment.detect():
        world, each = TorchElasticEnvironment().world_size(), int(os.environ["LOCAL_WORLD_SIZE"])
        return each, world // each
    if SLURMEnvironment.detect():
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise UserError("SLURM: start the job with --ntasks-per-node=N (and --nodes=M) in place of --ntasks")
        return int(os.environ["SLURM_NTASKS_PER_NODE"]), int(os.environ.get("SLURM_NNODES", "1"))
    return None


def _precision(config: RuntimeConfig) -> Any:
    return "bf16-mixed" if config.precision == "bf16" else "32-true"


def _leave_group() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _end_started(fabric: Fabric) -> None:
    # Fabric ends the others when one of those that it started fails, but not when the first one does.
    launcher = fabric.strategy.launcher
    for process in launcher.procs if isinstance(launcher, _SubprocessScriptLauncher) else []:
        process.kill()


def _reason(error: Exception) -> str:
    """The first line of an error from torch, without the place in its sources."""
    return textwrap.shorten(re.sub(r"\[[^\]]*\.(cc|cpp|h|hpp):\d+\] *", "", str(error).splitlines()[0]), 120)


def _is_loss(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or any(word in str(error).lower() for word in LOST)
