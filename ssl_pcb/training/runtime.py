"""Seeds, device, machine and memory layout."""

from __future__ import annotations

import hashlib
import platform
import time
from pathlib import Path

import torch

from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.errors import UserError


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


def now(device: torch.device) -> float:
    """Seconds of a clock, read when ``device`` has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def machine(config: RuntimeConfig) -> str:
    """What decides how fast a network runs: processor and what it can do, or GPU; threads, torch."""
    # Virtual processors of one name differ: some offer matrix units for bfloat16, some do not.
    skills = hashlib.sha256(_of_processor("flags").encode()).hexdigest()[:8]
    cpu = f"{processor()} {skills}, {config.threads} threads"
    return f"{torch.cuda.get_device_name() if config.device == 'cuda' else cpu}, torch {torch.__version__}"


def processor() -> str:
    """The processor's name."""
    return _of_processor("model name") or platform.processor() or platform.machine()


def _of_processor(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
