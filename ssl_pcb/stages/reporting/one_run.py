"""Everything that a page tells of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ssl_pcb.config.load import as_yaml
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.stages.reporting import curves, facts, figures, found
from ssl_pcb.stages.reporting.reported import Reported
from ssl_pcb.stages.reporting.shown import Looks, show


@dataclass(frozen=True)
class Told:
    """What is told of a run.

    Attributes:
        shown: For the template.
        data: For the page's code.
    """

    shown: dict[str, Any]
    data: dict[str, Any]


def tell(reported: Reported, name: str, looks: Looks) -> Told:
    """Gather what there is; what cannot be had any more is said on the page, in place of it.

    Args:
        reported: The run.
        name: What the page calls it.
        looks: How its samples are shown.
    """
    run, record, config, saved = reported.run, reported.record, reported.config, reported.saved
    notes: list[str] = []
    rows = curves.read_metrics(run)
    summary = saved.summary if saved else {}
    chosen = (
        figures.offered(saved, evaluated := found.evaluations(run, saved.record["data"]["fingerprint"]))
        if saved
        else []
    )
    at = ThreeWay(chosen[0]["low"], chosen[0]["high"]) if chosen else None
    told, entries, sheet = show(reported, at, looks, notes)
    shown = {
        "name": name, "folder": str(run), "stage": record["stage"], "sentence": facts.sentence(record, config),
        "headline": figures.headline(summary["reports"]["val"]) if saved else [],
        "marks": saved.marks if saved else [], "facts": facts.facts(record, config), "splits": facts.splits(record),
        "versions": facts.versions(record), "settings": as_yaml(config), "command": facts.command(record),
        "metrics": figures.metric_table(summary["reports"]) if saved else None,
        "opens": chosen[0]["name"] if chosen else "", "evaluated": bool(saved and evaluated),
        "last": [] if saved else curves.last_values(rows),
        "folds": curves.table(summary["folds"], curves.FOLDS) if "folds" in summary else None,
        "probes": curves.table(_probes(summary), curves.PROBES) if "probes" in summary else None,
        "refit": summary.get("refit", {}).get("sentence", ""),
        "sheets": found.sheets(run), "augmentations": sheet, "audits": list(found.audits(run, record)),
        "notes": notes, "unit": saved.unit if saved else record.get("data", {}).get("unit", "image"),
        "pictured": bool(entries), "heated": any("heat" in each for each in entries),
        "mapped": any("xy" in each for each in entries),
    }  # fmt: skip
    drawn = curves.curves(rows)
    data: dict[str, Any] = {
        "name": name, "curves": drawn, "samples": entries, "told": told,
        "operating": figures.operating(saved, chosen) if saved else None,
    }  # fmt: skip
    return Told(shown | {"curves": len(drawn)}, data)


def _probes(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in summary["probes"] if row["split"] == "val"]
