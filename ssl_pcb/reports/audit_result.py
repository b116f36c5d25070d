"""The one form in which every audit says what it found."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssl_pcb.reports.run import write_json

log = logging.getLogger(__name__)

RESULT = "audit.json"


@dataclass(frozen=True)
class Finding:
    """Something that should be mended.

    Attributes:
        what: The fault, in words.
        measure: What was measured.
        value: What it came to.
        low: Lower end of its 95 % interval.
        high: Upper end.
        limit: What it should not be beyond.
        samples: Those concerned, if it is about single ones.
        mend: What to do.
    """

    what: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    samples: tuple[str, ...]
    mend: str

    def line(self) -> str:
        """For the terminal: what is wrong, by how much, and what to do."""
        measured = self.measure
        if self.value is not None:
            measured += f" {self.value:.4g}"
        if self.low is not None and self.high is not None:
            measured += f" [{self.low:.4g}, {self.high:.4g}]"
        if self.limit is not None:
            measured += f", limit {self.limit:.4g}"
        return f"finding: {self.what} ({measured}); to mend: {self.mend}"


def say_audit(folder: Path, findings: Sequence[Finding], files: Sequence[str], picture: str | None) -> None:
    """A line for each finding, or that there is none; then what lies in the audit's folder.

    Args:
        folder: The audit's own.
        findings: What should be mended.
        files: Others in it than :data:`RESULT` and the picture.
        picture: Its name, or ``None``: there is nothing to show.
    """
    for finding in findings:
        log.info("%s", finding.line())
    if not findings:
        log.info("pass: no findings")
    log.info("written: %s with %s", folder, ", ".join([RESULT, *files, *([picture] if picture else [])]))
    if picture is None:
        log.info("no picture: there is nothing to show")


def write_audit(
    folder: Path,
    audit: str,
    data: Mapping[str, Any],
    findings: Sequence[Finding],
    facts: Mapping[str, Any],
    picture: str | None,
) -> bool:
    """Write ``folder``/audit.json, whole or not at all.

    Args:
        folder: The audit's own folder.
        audit: Its name.
        data: What it was made on, with its fingerprint.
        findings: What should be mended.
        facts: Everything else that was measured.
        picture: Name of the picture to look at first, or ``None``: there is nothing to show.

    Returns:
        Whether it passed: there are no findings.

    Raises:
        UserError: If the file cannot be written.
    """
    passed = not findings
    found = [asdict(finding) for finding in findings]
    write_json(
        folder / RESULT,
        {"audit": audit, "data": data, "passed": passed, "findings": found, "picture": picture, "facts": facts},
    )
    return passed
