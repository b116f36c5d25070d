"""What lies in and beside a run folder: sheets, operating points that were chosen, audits that were made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ssl_pcb.reports.audit_result import RESULT, Finding
from ssl_pcb.reports.page.pictures import sheet
from ssl_pcb.stages.operating import evaluation_files

SHEETS = {
    "reconstructions.png": "Reconstructions",
    "defect_maps.png": "Painted defects, and where they are suspected",
}
"""Pictures that stages leave."""

OWN = "the run's own threshold"


def sheets(run: Path) -> list[dict[str, str]]:
    """``title`` and ``image`` of each picture in the folder."""
    return [{"title": title, "image": sheet(run / name)} for name, title in SHEETS.items() if (run / name).is_file()]


def evaluations(run: Path, fingerprint: str | None) -> list[dict[str, Any]]:
    """Operating points that ``evaluate`` found on the run's own data, the newest first, each once.

    Each is ``named``, and has its ``folder``, thresholds ``low`` and ``high``, and the ``rate`` of Defective in the
    field.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in evaluation_files(run):
        each = _read(file)
        try:
            if each["data"]["fingerprint"] != fingerprint:
                continue
            named = _named(each["rule"], each.get("review"))
            kept = {"rate": float(each["defect_rate"]), "low": float(each["low"]), "high": float(each["high"])}
        except (KeyError, TypeError, ValueError, AttributeError):  # in another form than that of evaluations
            continue
        found.setdefault(named, {"named": named, "folder": file.parent.name, **kept})
    return list(found.values())


def audits(run: Path, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Audits of this run or its data, in its folder or beside it: ``name``, ``passed``, ``lines``, ``image``."""
    beside = [file for file in run.parent.glob(f"*/{RESULT}") if not file.is_relative_to(run)]
    for file in sorted([*run.glob(f"*/{RESULT}"), *run.glob(f"*/*/{RESULT}"), *beside]):
        each = _read(file)
        if "audit" not in each or (file in beside and not _concerns(each, run, record)):
            continue
        try:
            shown = {"lines": list(_lines(each)), "image": _picture(each, file.parent)}
        except (KeyError, TypeError, ValueError, AttributeError, OSError):  # in another form than that of audits
            continue
        yield {"name": each["audit"], "passed": bool(each.get("passed")), "folder": str(file.parent), **shown}


def _concerns(audit: Mapping[str, Any], run: Path, record: Mapping[str, Any]) -> bool:
    of = audit.get("facts", {}).get("run")
    if of is not None:
        return Path(of).resolve() == run.resolve()
    fingerprint = audit.get("data", {}).get("fingerprint")
    return fingerprint is not None and fingerprint == record.get("data", {}).get("fingerprint")


def _lines(audit: Mapping[str, Any]) -> Iterator[str]:
    yield from map(str, audit.get("facts", {}).get("said", []))
    yield from (Finding(**finding).line() for finding in audit["findings"])


def _picture(audit: Mapping[str, Any], folder: Path) -> str:
    """As a data URI; empty if there is none. Whatever the audit says, it lies in the audit's own folder."""
    file = folder / Path(audit.get("picture") or "").name
    return sheet(file) if file.is_file() else ""


def _named(rule: Mapping[str, Any] | None, review: Mapping[str, Any] | None) -> str:
    if rule is None:
        return OWN
    limit = f"{100 * rule['limit']:g} %" if "limit" in rule else ""
    words = {
        "EscapeBudget": f"at most {limit} escape", "FalseCallBudget": f"at most {limit} false calls",
        "LeastCost": "least cost", "BestF1": "best F1", "Given": f"given, {rule.get('threshold', 0):g}",
    }.get(str(rule.get("name")), str(rule.get("name")))  # fmt: skip
    return words if review is None else f"{words}, NG at most {100 * review['limit']:g} % false calls"


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
