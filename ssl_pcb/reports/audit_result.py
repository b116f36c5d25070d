"""The one form in which every audit says what it found, for programs to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssl_pcb.reports.run import write_json

FILE = "audit.json"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        what: What was found.
        measure: Name of the measured value.
        value: The measured value, or ``None`` where there is none.
        low: Lower end of its interval.
        high: Upper end of its interval.
        limit: The value that it should have kept to.
        samples: Samples concerned.
        mend: What to do about it.
    """

    what: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    samples: tuple[str, ...]
    mend: str


def write_audit(
    folder: Path, audit: str, data: Mapping[str, Any], findings: Sequence[Finding], facts: Mapping[str, Any]
) -> bool:
    """Write ``folder``/audit.json, whole or not at all.

    Args:
        folder: Where to; it exists.
        audit: Name of the audit.
        data: Facts about the data, with their fingerprint.
        findings: What is not as it should be; none = the audit is passed.
        facts: Further numbers.

    Returns:
        Whether there are no findings.
    """
    found = {
        "audit": audit,
        "data": dict(data),
        "passed": not findings,
        "findings": [asdict(finding) for finding in findings],
        "facts": dict(facts),
    }
    write_json(folder / FILE, found)
    return not findings
