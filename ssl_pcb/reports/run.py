"""The run folder: everything that a run was, is and found."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import logging.handlers
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from pydantic import BaseModel

from ssl_pcb.config.load import load_config, write_yaml
from ssl_pcb.config.stages import STAGES, StageConfig
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

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


class Run:
    """A run folder. Entering the ``with`` block makes it; leaving closes it as finished, failed or interrupted.

    What can be refused is refused before the block, so that a refused run leaves nothing behind.

    The folder holds ``config.yaml`` (resolved), ``run.json`` (status, versions, hardware, data),
    ``metrics.jsonl``, ``summary.json``, ``log.txt`` and what the stage adds.

    Attributes:
        folder: The run folder.
        stage: Name of the stage.
        resumed: Whether this takes up an earlier run.
    """

    def __init__(self, stage: str, folder: Path, *, resumed: bool) -> None:
        self.stage, self.folder, self.resumed = stage, folder, resumed
        self._record: dict[str, Any] = {}
        # What is said before the folder exists is kept for its log file.
        self._early = logging.handlers.MemoryHandler(10_000, flushLevel=logging.CRITICAL + 1)
        logging.getLogger().addHandler(self._early)

    def __enter__(self) -> Run:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be made ({error.strerror}); choose another --out") from None
        self._log_file = logging.FileHandler(self.folder / "log.txt", encoding="utf-8")
        self._log_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(self._log_file)
        self._early.setTarget(self._log_file)
        self._early.close()
        logging.getLogger().removeHandler(self._early)
        self._started = time.perf_counter()
        self.note(
            stage=self.stage,
            status="running",
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            command=[Path(sys.argv[0]).name, *sys.argv[1:]],
            versions={name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
            commit=_commit(),
            hardware=_hardware(),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "failed" if kind else "finished"
        if kind is KeyboardInterrupt:
            status = "interrupted"
        self.note(
            status=status,
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - self._started, 1),
        )
        if error is not None:
            log.debug("ended: %s: %s", type(error).__name__, error)
        logging.getLogger().removeHandler(self._log_file)
        self._log_file.close()

    def note(self, **facts: Any) -> None:
        """Add facts to ``run.json``."""
        self._record |= facts
        write_json(self.folder / "run.json", self._record)

    def save_config(self, config: BaseModel) -> None:
        """Write ``config.yaml``; running it again reproduces the run."""
        write_yaml(config, self.folder / "config.yaml")

    def log_metrics(self, row: Mapping[str, Any]) -> None:
        """Add the line of ``row["epoch"]`` to ``metrics.jsonl``.

        It replaces lines of that epoch and later, which a run leaves that is killed before the epoch's state is saved.
        """
        file = self.folder / "metrics.jsonl"
        earlier = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        kept = [line for line in earlier if json.loads(line)["epoch"] < row["epoch"]]
        _write_text(file, "\n".join([*kept, json.dumps(row, allow_nan=False)]) + "\n")

    def save_summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json``."""
        write_json(self.folder / "summary.json", summary)


def open_run(stage: str, out: Path | None, *, resume: bool) -> Run:
    """A new run folder, or the unfinished one that ``--resume`` means.

    Args:
        stage: Name of the stage.
        out: The folder; ``None`` = a new ``runs/STAGE-DATE-TIME``, or with ``resume`` the newest unfinished
            run of this stage below ``runs``.
        resume: Take up an unfinished run.

    Raises:
        UserError: If a new run's folder is not empty, or there is nothing to resume.
    """
    if resume:
        return Run(stage, _unfinished(stage, out), resumed=True)
    if out is None:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        names = (Path("runs") / f"{stage}-{stamp}{suffix}" for suffix in ["", *(f"-{n}" for n in range(2, 100))])
        out = next(name for name in names if not name.exists())
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not empty; choose another --out, or add --resume to go on with it")
    return Run(stage, out, resumed=False)


def read_run(folder: Path) -> dict[str, Any]:
    """``run.json`` of a run folder; empty if it is none, or damaged."""
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def read_config(folder: Path, stage: str) -> StageConfig:
    """The resolved config that a run folder holds.

    Raises:
        UserError: If it holds none, or one that no longer validates.
    """
    return load_config(STAGES[stage], folder / "config.yaml")


def write_json(file: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    _write_text(file, json.dumps(value, indent=1, allow_nan=False) + "\n")


def _write_text(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)


def _unfinished(stage: str, out: Path | None) -> Path:
    if out is not None:
        record = read_run(out)
        if record.get("stage") != stage:
            raise UserError(f"{out}: holds no {stage} run to resume")
        if record["status"] == "finished":
            raise UserError(f"{out}: is finished; there is nothing to resume")
        return out
    records = [(read_run(file.parent), file.parent) for file in Path("runs").glob(f"{stage}-*/run.json")]
    open_runs = [(r["started"], folder) for r, folder in records if r and r["status"] != "finished"]
    if not open_runs:
        raise UserError(f"--resume: no unfinished {stage} run below runs; name one with --out")
    return max(open_runs)[1]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Commit of the source tree that this package runs from, with ``+changes`` where it was edited."""
    folder = Path(__file__).resolve().parent
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
