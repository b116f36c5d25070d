"""The run folder: everything that a run was, is and found."""

from __future__ import annotations

import json
import logging
import logging.handlers
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock

from ssl_pcb.config.load import as_yaml, load_config
from ssl_pcb.config.stages import STAGES, StageConfig
from ssl_pcb.data.files import whole_file
from ssl_pcb.errors import DivergedError, UserError
from ssl_pcb.reports.provenance import peak_memory, provenance

log = logging.getLogger(__name__)

METRICS = "metrics.jsonl"


class Run:
    """A run folder. Entering the ``with`` block makes it; leaving closes it with how it ended.

    What can be refused is refused before the block, so that a refused run leaves nothing behind.

    The folder holds ``config.yaml`` (resolved), ``run.json`` (status, versions, hardware, data),
    ``metrics.jsonl``, ``summary.json``, ``log.txt`` and what the stage adds.

    Attributes:
        folder: The run folder.
        stage: Name of the stage.
        resumed: Whether this takes up an earlier run.
        writes: Whether this process keeps the records; of several only the first one does.
    """

    def __init__(self, stage: str, folder: Path, *, resumed: bool, writes: bool = True) -> None:
        self.stage, self.folder, self.resumed, self.writes = stage, folder, resumed, writes
        self._record: dict[str, Any] = {}
        self._withdrawn = False
        self._lock = filelock.FileLock(folder / "run.lock")
        logging.getLogger("ssl_pcb").setLevel(logging.DEBUG)  # the log file has it all, also in library use
        # What is said before the folder exists is kept for its log file.
        self._early = logging.handlers.MemoryHandler(10_000, flushLevel=logging.CRITICAL + 1)
        logging.getLogger().addHandler(self._early)

    def __enter__(self) -> Run:
        if not self.writes:
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be made ({error.strerror}); choose another --out") from None
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"{self.folder}: is in use by another process; wait for it, or name another --out"
            ) from None
        self._log_file = _LogFile(self.folder / "log.txt", encoding="utf-8")
        self._log_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(self._log_file)
        self._early.setTarget(self._log_file)
        self.forget_early_lines()
        try:
            self._begin_session()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.writes:
            return
        status = "failed" if kind else "finished"
        if kind is KeyboardInterrupt:
            status = "interrupted"
        if isinstance(error, DivergedError):
            status = "diverged"
        if error is not None:
            log.debug("ended: %s: %s", type(error).__name__, error)
        try:
            self._end_session(status)
        except UserError:
            if error is None:
                raise
            log.debug("the end cannot be recorded")  # what ended the run is what to tell
        finally:
            self._close()
            if self._withdrawn:
                shutil.rmtree(self.folder, ignore_errors=True)

    def withdraw(self) -> None:
        """Leave nothing behind when the block ends: something could be refused within it only, and was."""
        self._withdrawn = self.writes and not self.resumed

    def _end_session(self, status: str) -> None:
        sessions = self._record["sessions"]
        sessions[-1]["seconds"] = round(time.perf_counter() - self._started, 1)
        self.note(
            status=status,
            ended=datetime.now(UTC).isoformat(timespec="milliseconds"),  # auto takes the newest: seconds would tie
            seconds=round(sum(session["seconds"] for session in sessions if session["seconds"]), 1),
            peak_memory=peak_memory(),
        )

    def _close(self) -> None:
        logging.getLogger().removeHandler(self._log_file)
        with suppress(OSError):  # of a full disk
            self._log_file.close()
        self._lock.release()

    def _begin_session(self) -> None:
        """Record who computes, and where; a resumed run has several sessions, of which killed ones lack seconds."""
        self._started = time.perf_counter()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._record = read_run(self.folder) if self.resumed else {}
        facts = provenance()
        earlier = self._record.get("sessions", [])
        if any(session[key] != facts[key] for session in earlier for key in ("versions", "hardware")):
            log.warning("resumed with other versions or hardware: the weights will not be the same bit for bit")
        command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        session = {"started": now, "seconds": None, "command": command, **facts}
        self.note(
            stage=self.stage,
            status="running",
            started=self._record.get("started", now),
            sessions=[*earlier, session],
            **facts,
        )

    def forget_early_lines(self) -> None:
        """Stop keeping log lines for a log file that was opened meanwhile, or never will be."""
        self._early.close()
        logging.getLogger().removeHandler(self._early)

    def note(self, **facts: Any) -> None:
        """Add facts to ``run.json``."""
        self._record |= facts
        self._save("run.json", _as_json(self._record))

    def save_config(self, config: StageConfig) -> None:
        """Write ``config.yaml``; running it again reproduces the run."""
        runtime = config.runtime.model_copy(update={"out": None})  # or it would name this folder, in use
        self._save("config.yaml", as_yaml(config.model_copy(update={"runtime": runtime})))

    def log_metrics(self, row: Mapping[str, Any]) -> None:
        """Add the line of ``row["epoch"]`` to ``metrics.jsonl``.

        It replaces lines of that epoch and later, which a run leaves that is killed before the epoch's state is saved.
        """
        file = self.folder / METRICS
        earlier = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        rows = [json.loads(line) for line in earlier]
        self.save_metrics([*(old for old in rows if old["epoch"] < row["epoch"]), row])

    def save_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write all of ``metrics.jsonl``, a row a line."""
        self._save(METRICS, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))

    def save_summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json``."""
        self._save("summary.json", _as_json(summary))

    def _save(self, name: str, text: str) -> None:
        if self.writes:
            _write_text(self.folder / name, text)


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
    _write_text(file, _as_json(value))


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _write_text(file: Path, text: str) -> None:
    with whole_file(file) as part:
        part.write_text(text, encoding="utf-8")


class _LogFile(logging.FileHandler):
    """A log file that goes without lines for which there is no room: what the run cannot do without says so."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Let a failed write be; anything else is a defect of the line."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


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
