"""The precision and memory layout in which this machine runs a network fastest: measured once, then remembered.

No rule holds for all of them: channels-last fp32 makes some networks faster and others several times slower.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.files import whole_file
from ssl_pcb.data.parallel import cores
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.training.runtime import machine, memory_format, now, pick_device

log = logging.getLogger(__name__)

BUDGET = 8.0
"""Seconds after which no further round begins."""
ROUNDS, TRUSTED = 8, 3
"""Rounds, and how many of them it takes for the outcome to be remembered: the first one is cold."""
STEP = 0.4
"""Seconds that a step may take; if the first one took longer, the others take fewer images."""
NEVER = 1e9
"""Seconds that stand for a way in which the network does not run."""
PRECISIONS, LAYOUTS = ("fp32", "bf16"), ("contiguous", "channels_last")

CROWD = 4
"""Threads on each core above which nobody can mean it."""

Seconds = dict[str, float]


@dataclass(frozen=True)
class Workload:
    """What a stage does most of the time.

    Attributes:
        name: Tells networks apart in what is remembered.
        network: From images (B, channels, size, size) to a tensor; copies of it are measured.
        channels: Input channels.
        size: Side of the images.
        training: Whether there is a backward pass.
    """

    name: str
    network: nn.Module
    channels: int
    size: int
    training: bool = True

    @classmethod
    def of(
        cls,
        backbone: Backbone | DownsizedBackbone,
        size: int,
        *,
        around: nn.Module | None = None,
        training: bool = True,
    ) -> Workload:
        """Running ``backbone``, or the network ``around`` it, on images of ``size`` pixels."""
        network = around or backbone
        shapes = str([(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()])
        frozen = "".join(name for name, each in network.named_parameters() if not each.requires_grad)
        widths = hashlib.sha256((shapes + frozen).encode()).hexdigest()[:8]
        name = f"{type(network).__name__} {backbone.design} {widths}"
        learns = any(each.requires_grad for each in network.parameters())  # where not, there is no backward pass
        return cls(name, network, backbone.channels, size, training and learns)


def resolve_runtime(config: RuntimeConfig, work: Workload) -> RuntimeConfig:
    """``config`` with device, threads, precision and layout decided; sets the number of threads.

    What is ``auto`` is the fastest on some random images. All combinations take turns, so that a busy moment
    meets them alike, and the fastest step of each counts.

    Args:
        config: Settings, possibly ``auto``.
        work: What to measure.

    Raises:
        UserError: If the network runs in none of them, or the threads are far too many.
    """
    if config.threads > CROWD * cores():
        raise UserError(
            f"runtime.threads: {config.threads} threads on {cores()} cores would stand in each other's way; "
            "take --threads 0 for all cores"
        )
    torch.set_num_threads(config.threads or torch.get_num_threads())
    config = config.model_copy(update={"device": pick_device(config), "threads": torch.get_num_threads()})
    precisions = PRECISIONS if config.precision == "auto" else (config.precision,)
    layouts = LAYOUTS if config.layout == "auto" else (config.layout,)
    tries = {
        f"{precision} {layout}": config.model_copy(update={"precision": precision, "layout": layout})
        for precision, layout in product(precisions, layouts)
    }
    if len(tries) == 1:
        return next(iter(tries.values()))
    memory = cache_dir() / "fastest.json"
    key = " | ".join([machine(config), work.name, f"{work.channels} x {work.size} px", *(["training"] * work.training)])
    seconds = _remembered(memory, key, tries)
    source = f"remembered in {memory}; delete it to measure again"
    if seconds is None:
        log.info("measuring in which precision and layout this machine is fastest")
        seconds, rounds = _measure(tries, work)
        source = f"measured in {rounds} rounds"
        if rounds >= TRUSTED:
            _remember(memory, key, seconds)
        else:
            source += ", too few to be remembered: the machine is busy, or the images are large"
    fastest = min(tries, key=lambda name: seconds[name])
    times = {name: f"{seconds[name] / seconds[fastest]:.1f}" if seconds[name] < NEVER else "fails" for name in tries}
    others = ", ".join(f"{name} {times[name]}" for name in tries if name != fastest)
    log.info("fastest here: %s (times that long: %s; %s)", fastest, others, source)
    return tries[fastest]


def _measure(tries: dict[str, RuntimeConfig], work: Workload) -> tuple[Seconds, int]:
    """The least seconds of a step in each way, and how often each was tried; 0 if the outcome may be another soon."""
    began = time.perf_counter()
    device = next(iter(tries.values())).device
    most = 256 if device == "cuda" else 16  # few images leave a GPU idle, and of large ones each takes a CPU seconds
    count = min(most, max(2, round(most * (128 / work.size) ** 2)))
    images = torch.rand(count, work.channels, work.size, work.size, device=device)
    networks: dict[str, nn.Module] = {}
    for config in tries.values():
        if config.layout not in networks:
            network = copy.deepcopy(work.network).train(work.training)
            networks[config.layout] = network.to(device, memory_format=memory_format(config))  # type: ignore[call-overload]
    config, failure, passing = next(iter(tries.values())), "", False
    with suppress(RuntimeError):  # which its turn will tell
        _step_time(config, networks[config.layout], images[:2], training=work.training)  # the first one is cold
        taken = _step_time(config, networks[config.layout], images, training=work.training)
        images = images[: max(2, int(count * min(1.0, STEP / taken)))]
    times: dict[str, list[float]] = {name: [] for name in tries}
    for number in range(ROUNDS):
        for name, config in tries.items():
            try:
                times[name].append(_step_time(config, networks[config.layout], images, training=work.training))
            except RuntimeError as error:  # no kernel for it, or too little memory
                times[name].append(NEVER)
                failure = str(error).splitlines()[0]
                passing = passing or isinstance(error, torch.OutOfMemoryError)  # others may hold it just now
        taken = time.perf_counter() - began
        if taken * (number + 2) / (number + 1) > BUDGET:
            break
    seconds = {name: min(each[1:] or each) for name, each in times.items()}  # the first one warms up, if not alone
    if min(seconds.values()) == NEVER:
        raise UserError(f"runtime: {work.name} on {work.size} px runs in no precision and layout here ({failure})")
    return seconds, 0 if passing else number + 1


def _step_time(config: RuntimeConfig, network: nn.Module, images: Tensor, *, training: bool) -> float:
    images = images.to(memory_format=memory_format(config))
    began = now(images.device)
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=config.precision == "bf16")
    with autocast, torch.set_grad_enabled(training):
        loss = network(images).float().square().mean()
    if training:
        loss.backward()
        network.zero_grad()
    return now(images.device) - began


def _remembered(memory: Path, key: str, names: Iterable[str]) -> Seconds | None:
    """What was measured before, if all of ``names`` were."""
    found = _read(memory).get(key)
    if not isinstance(found, dict) or any(not _is_time(found.get(name)) for name in names):
        return None
    return found


def _remember(memory: Path, key: str, seconds: Seconds) -> None:
    try:
        with whole_file(memory, shared=True) as part:
            part.write_text(json.dumps(_read(memory) | {key: seconds}, indent=1))
    except UserError as error:  # the next run measures again
        log.info("what was measured is not remembered: %s", error)


def _read(memory: Path) -> dict[str, Any]:
    try:
        found = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_time(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value > 0
