"""The last line of a stage: what to type to look at its run."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

log = logging.getLogger(__name__)

FILE = "report.html"


def say_report(run: Path) -> None:
    """Name the command that makes the report of a run."""
    log.info("look at it: ssl-pcb report %s -o %s", shlex.quote(str(run)), shlex.quote(str(run / FILE)))
