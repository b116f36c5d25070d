"""A finished run, as reports read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_pcb.config.stages import StageConfig
from ssl_pcb.errors import UserError
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.reports.saved import FILES, Saved, need_both_classes, read_saved


@dataclass(frozen=True)
class Reported:
    """A finished run.

    Attributes:
        run: Its folder.
        record: Its ``run.json``.
        config: Its config.
        saved: Its predictions; ``None`` of a pretraining, which makes none.
    """

    run: Path
    record: dict[str, Any]
    config: StageConfig
    saved: Saved | None

    @property
    def fingerprint(self) -> str | None:
        """Of its data."""
        data = self.record.get("data", {})
        found: str | None = data.get("images_fingerprint", data.get("fingerprint"))
        return found


def read_reported(run: Path) -> Reported:
    """The finished run in ``run``.

    Raises:
        UserError: If it is no finished run, or one that should have predictions and has not.
    """
    record = read_run(run)
    stage = record.get("stage")
    if record.get("status") != "finished" or stage not in (*FILES, "pretrain"):
        raise UserError(f"{run}: is no folder of a finished run; name one of pretrain, linear-eval, finetune, crossval")
    saved = read_saved(run) if stage in FILES else None
    if saved is not None:
        need_both_classes(saved.split("val"), f"{run}: validation")
    return Reported(run, record, read_config(run, stage), saved)
