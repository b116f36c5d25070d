"""The folder of a sweep, in which several processes may make runs, none of them twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from ssl_pcb.config.load import as_yaml
from ssl_pcb.data.files import whole_file
from ssl_pcb.reports.run import read_run, write_json
from ssl_pcb.stages.sweep_plan import Planned

ENDED = ("finished", "diverged")
"""How a run ends for good; whatever else stopped it, a later call of the sweep tries again."""

COMPLAINT = "ssl-pcb: error: "


class Workshop:
    """The folder, as one of perhaps several processes sees it.

    Beside the run folders it holds ``configs``, ``said`` (what each run printed), ``attempts`` and ``locks``.

    Attributes:
        out: The folder.
        began: When this process began; what failed since then is not tried again.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.began = out, datetime.now(UTC).isoformat()
        for name in ("configs", "said", "attempts", "locks"):
            (out / name).mkdir(parents=True, exist_ok=True)

    def status(self, run: Planned) -> str:
        """``finished``, ``diverged``, ``failed``, or empty if it was never tried.

        Of a run whose pretraining did not finish, what that came to.
        """
        if run.before is not None and self.settled(run.before) and self.status(run.before) != "finished":
            return self.status(run.before)
        found = str(read_run(run.folder).get("status", ""))
        return found if found in ENDED else str(self._attempt(run).get("status", ""))

    def settled(self, run: Planned) -> bool:
        """Whether nobody needs to try it, or to try it again."""
        if run.before is not None and self.settled(run.before) and self.status(run.before) != "finished":
            return True
        attempt = self._attempt(run)
        return self.status(run) in ENDED or (attempt.get("status") == "failed" and attempt["ended"] >= self.began)

    def make(self, run: Planned) -> str | None:
        """Make ``run``; returns what was wrong, or nothing, or ``None`` if it cannot be made now.

        That is where another process has it in hand, or has not finished what it starts from.
        """
        if run.before is not None and self.status(run.before) != "finished":
            return None
        with self._lock(run) as mine:
            if not mine or self.settled(run):
                return None
            return self._make(run)

    def _make(self, run: Planned) -> str:
        name, runtime = run.folder.name, run.config.runtime.model_copy(update={"out": None})
        keys, said = self.out / "configs" / f"{name}.yaml", self.out / "said" / f"{name}.txt"
        with whole_file(keys) as part:
            part.write_text(as_yaml(run.config.model_copy(update={"runtime": runtime})), encoding="utf-8")
        resume = ["--resume"] if read_run(run.folder) else []
        command = [sys.executable, "-m", "ssl_pcb", run.stage, "--config", str(keys), "--out", str(run.folder), *resume]
        with said.open("w", encoding="utf-8") as stream:
            code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, check=False).returncode
        error = "" if code == 0 else _complaint(said, code)
        status = read_run(run.folder).get("status")
        attempt = {"status": status if status in ENDED else "failed", "error": error}
        write_json(self._attempt_file(run), attempt | {"ended": datetime.now(UTC).isoformat()})
        return error

    def _attempt(self, run: Planned) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._attempt_file(run).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def _attempt_file(self, run: Planned) -> Path:
        return self.out / "attempts" / f"{run.folder.name}.json"

    @contextmanager
    def _lock(self, run: Planned) -> Iterator[bool]:
        """Hold the run's lock, which the system takes back from a process that died; whether it was free."""
        lock = filelock.FileLock(self.out / "locks" / f"{run.folder.name}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


def _complaint(said: Path, code: int) -> str:
    """What a failed run said last."""
    if code < 0:
        return f"killed by signal {-code}"
    lines = [line for line in said.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    found = next((line.removeprefix(COMPLAINT) for line in reversed(lines) if line.startswith(COMPLAINT)), "")
    return found or f"exit code {code}: {lines[-1] if lines else 'it said nothing'}"
