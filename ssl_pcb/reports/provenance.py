"""With what a run was made: versions, commit, machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "ssl-pcb",
    "torch",
    "torchvision",
    "lightly",
    "timm",
    "faiss-cpu",
    "scikit-learn",
    "numpy",
    "pillow",
)


def provenance() -> dict[str, Any]:
    """Versions of what a run stands on, the machine, and the commit, as ``run.json`` has them."""
    return {
        "versions": {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "hardware": _hardware(),
        "commit": _commit(),
    }


def peak_memory() -> dict[str, float | None]:
    """The most MiB that this process has held since it began, and that tensors on its GPU have.

    The first is its resident set, with what libraries and mapped files take of it. ``None`` where the system does not
    tell (Windows), or there is no GPU.
    """
    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    if sys.platform == "win32":
        return {"process": None, "gpu": gpu}
    import resource  # which Windows has not

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, "gpu": gpu}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Commit of the source tree that this package runs from, with ``+changes`` where it was edited."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():  # installed; a repository further up is somebody else's
        return None
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--abbrev=12", "--exclude=*"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def _hardware() -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu,
    }
