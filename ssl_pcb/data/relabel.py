"""Labels put right: a person's decisions applied to a manifest, with what was there before, who decided and when."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass

import pandas as pd

from ssl_pcb.data.corrections import BEFORE, SampleFinder
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.errors import UserError

BY, AT, NOTE = "relabelled_by", "relabelled_at", "relabel_note"
HISTORY = "label_history"
"""Earlier corrections of a sample as JSON, the oldest first; the last one has the four columns above to itself."""

KEPT = (BEFORE, BY, AT, NOTE, HISTORY)


@dataclass(frozen=True)
class Relabelled:
    """What came of corrections.

    Attributes:
        manifest: With the new labels.
        changes: Samples by their old and new label; empty = unlabelled.
        confirmed: Samples that keep the label that they had.
        boxed: Changed samples that are now NonDefective and still have defect boxes.
    """

    manifest: Manifest
    changes: dict[tuple[str, str], int]
    confirmed: int
    boxed: int

    def lines(self) -> list[str]:
        """For the terminal."""
        total = sum(self.changes.values())
        lines = [f"{total:,} labels changed, {self.confirmed:,} samples keep theirs"]
        for (old, new), count in sorted(self.changes.items()):
            lines.append(f"    {count:,} from {old or 'unlabelled'} to {new or 'unlabelled'}")
        if self.boxed:
            lines.append(
                f"{self.boxed:,} of them are now NonDefective and still have defect boxes, which stay as they are"
            )
        return lines


def relabel(manifest: Manifest, name: str, corrections: pd.DataFrame, source: str, by: str, at: str) -> Relabelled:
    """Apply ``corrections``; all of them, or none.

    Args:
        manifest: The samples.
        name: What messages call it.
        corrections: From :func:`~ssl_pcb.data.corrections.read_corrections`. ``row`` counts from 0, as in predictions;
            ``path`` is as the manifest has it. A column ``label_before`` says which label each decision was about;
            ``note`` is kept.
        source: What messages call them.
        by: Who decided.
        at: When, as ISO 8601.

    Raises:
        UserError: If a decision names no sample or several, or an unknown label; if two of one sample differ; or if
            one is about another label than the sample has now.
    """
    decided = _decided(manifest, name, corrections, source)
    nothing = [""] * len(manifest)
    cells = {column: manifest.frame.get(column, pd.Series(nothing)).tolist() for column in ("label", *KEPT)}
    changes: dict[tuple[str, str], int] = defaultdict(int)
    boxed = 0
    for row, (label, note) in decided.items():
        old = {column: texts[row] for column, texts in cells.items()}
        if label == old["label"]:
            continue
        changes[old["label"], label] += 1
        boxed += int(label == LABELS[0] and bool(manifest.frame["boxes"].iat[row]))
        history = _history(old, f"{name}: row {row}")
        for column, text in {
            "label": label,
            BEFORE: old["label"],
            BY: by,
            AT: at,
            NOTE: note,
            HISTORY: history,
        }.items():
            cells[column][row] = text
    relabelled = Manifest.build(manifest.frame.assign(**cells), manifest.root, name)
    return Relabelled(relabelled, dict(changes), len(decided) - sum(changes.values()), boxed)


def _decided(manifest: Manifest, name: str, corrections: pd.DataFrame, source: str) -> dict[int, tuple[str, str]]:
    """Row to its new label and the note on it."""
    finder, present = SampleFinder(manifest, name), manifest.frame["label"]
    decided: dict[int, tuple[str, str]] = {}
    for number, record in enumerate(corrections.to_dict("records"), 2):  # the first line holds the columns' names
        line = {str(column): str(value) for column, value in record.items()}
        where, label = f"{source}: line {number}", line["label"].strip()
        if label not in ("", *LABELS):
            raise UserError(f"{where}, label '{label}' is not one of {', '.join(LABELS)} or empty")
        row = finder.row(line, where)
        if BEFORE in line and line[BEFORE].strip() != present.iat[row]:
            raise UserError(
                f"{where} is about label '{line[BEFORE]}', and row {row} of {name} now has '{present.iat[row]}'; "
                "look at it again"
            )
        if row in decided and decided[row][0] != label:
            raise UserError(
                f"{where} gives row {row} the label '{label}', and an earlier line gives it '{decided[row][0]}'; "
                "leave one of them"
            )
        decided.setdefault(row, (label, line.get("note", "")))
    return decided


def _history(old: dict[str, str], where: str) -> str:
    """The sample's history, to which its last correction now belongs."""
    if not old[AT]:
        return old[HISTORY]
    try:
        earlier = json.loads(old[HISTORY] or "[]")
    except ValueError:
        earlier = None
    if not isinstance(earlier, list):
        raise UserError(f"{where}, column '{HISTORY}' is not the JSON list that corrections leave there")
    last = {"label_before": old[BEFORE], "label": old["label"], "by": old[BY], "at": old[AT], "note": old[NOTE]}
    return json.dumps([*earlier, last], ensure_ascii=False)
