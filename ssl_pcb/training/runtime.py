"""Seeds, threads, device, and the precision and layout that this machine runs fastest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from itertools import product

import torch
from torch import nn

from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.errors import UserError

TRIAL_SECONDS = 8.0


def derive_seed(*parts: object) -> int:
    """A seed for one purpose, from the run's seed and words or numbers that name the purpose."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


def make_generator(device: torch.device, *parts: object) -> torch.Generator:
    """A random generator on ``device``, seeded by :func:`derive_seed`."""
    generator = torch.Generator(device)
    generator.manual_seed(derive_seed(*parts))
    return generator


def pick_device(config: RuntimeConfig) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        UserError: If cuda is asked for and there is none.
    """
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError("runtime.device: torch finds no cuda device here; use --device cpu or auto")
    return config.device


def memory_format(config: RuntimeConfig) -> torch.memory_format:
    """The torch memory format of ``runtime.layout``."""
    return torch.channels_last if config.layout == "channels_last" else torch.contiguous_format


def resolve_runtime(config: RuntimeConfig, build: Callable[[], nn.Module], channels: int, size: int) -> RuntimeConfig:
    """``config`` with device, threads, precision and layout decided; sets the number of threads.

    What is ``auto`` is measured: a few training steps of the model on some random images in every combination
    that is left open, because no rule holds for all backbones (channels-last fp32 makes some networks faster
    and others several times slower).

    Args:
        config: Settings, possibly ``auto``.
        build: Makes a network from images (B, channels, size, size) to a tensor.
        channels: Input channels.
        size: Side of the images.
    """
    device = pick_device(config)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    config = config.model_copy(update={"device": device, "threads": torch.get_num_threads()})
    precisions = ["fp32", "bf16"] if config.precision == "auto" else [config.precision]
    layouts = ["contiguous", "channels_last"] if config.layout == "auto" else [config.layout]
    tries = [config.model_copy(update={"precision": p, "layout": layout}) for p, layout in product(precisions, layouts)]
    if len(tries) == 1:
        return tries[0]
    model = build().to(device)
    count = min(16, max(2, round(16 * (128 / size) ** 2)))  # large ones take seconds each
    images = torch.rand(count, channels, size, size, device=device)
    return min(tries, key=lambda candidate: _step_time(candidate, model, images, TRIAL_SECONDS / len(tries)))


def _step_time(config: RuntimeConfig, model: nn.Module, images: torch.Tensor, budget: float) -> float:
    """Fastest of the training steps (s) that fit into ``budget`` seconds, after one that warms up if it may."""
    layout = memory_format(config)
    model, images = model.to(memory_format=layout), images.to(memory_format=layout)  # type: ignore[call-overload]
    times: list[float] = []
    start = time.perf_counter()
    while not times or (time.perf_counter() - start < budget and len(times) < 20):
        began = time.perf_counter()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            loss = model(images).float().square().mean()
        loss.backward()
        model.zero_grad()
        if images.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:] or times)
