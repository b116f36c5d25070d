"""Labels put right: a person's decisions applied to a manifest, with what was there before, who decided and when."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.errors import UserError

BEFORE, BY, AT, NOTE = "label_before", "relabelled_by", "relabelled_at", "relabel_note"
HISTORY = "label_history"
"""Earlier corrections of a sample as JSON, the oldest first; the last one has the four columns above to itself."""

KEPT = (BEFORE, BY, AT, NOTE, HISTORY)

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


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


def corrections_of(manifest: Manifest, rows: NDArray[np.int64]) -> pd.DataFrame:
    """A table of corrections for the samples at ``rows`` (N,) that changes nothing before ``label`` is edited.

    It will be opened in a spreadsheet, and names of files are other people's text: none begins like a formula.
    """
    frame = manifest.frame.iloc[rows]
    paths = [f"./{path}" if path.startswith(FORMULA) else path for path in frame["path"]]
    labels = frame["label"].tolist()
    return pd.DataFrame({"row": rows, "path": paths, "crop": frame["crop"].tolist(), BEFORE: labels, "label": labels})


def read_corrections(path: Path) -> pd.DataFrame:
    """Read a table of decisions: ``label``, and ``row`` or ``path`` (with ``crop``); further columns are left alone.

    Raises:
        UserError: If it cannot be read, or lacks these columns.
    """
    try:
        # Spreadsheets mark UTF-8 by its first bytes.
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False).fillna("")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of corrections") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not a readable table of corrections ({str(error).splitlines()[0]})") from None
    found = ", ".join(frame.columns)
    if "label" not in frame.columns or not {"row", "path"} & set(frame.columns):
        raise UserError(f"{path}: needs the columns 'label', and 'row' or 'path' (found: {found})")
    return frame


def relabel(manifest: Manifest, name: str, corrections: pd.DataFrame, source: str, by: str, at: str) -> Relabelled:
    """Apply ``corrections``; all of them, or none.

    Args:
        manifest: The samples.
        name: What messages call it.
        corrections: From :func:`read_corrections`. ``row`` counts from 0, as in predictions; ``path`` is as the
            manifest has it. A column ``label_before`` says which label each decision was about; ``note`` is kept.
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
    finder, present = _Finder(manifest, name), manifest.frame["label"]
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


class _Finder:
    """Finds the row that a line of corrections means."""

    def __init__(self, manifest: Manifest, name: str) -> None:
        self.name, self.root = name, manifest.root
        self.crops = manifest.frame["crop"].tolist()
        self.by_path: dict[str, list[int]] = defaultdict(list)
        for row, path in enumerate(manifest.frame["path"]):
            self.by_path[self._spelled(path)].append(row)

    def row(self, line: dict[str, str], where: str) -> int:
        """The one row that ``line`` names, by number or by path and crop; both must agree where both are given."""
        number, path, crop = line.get("row", "").strip(), line.get("path", ""), line.get("crop")
        if not (number or path):
            raise UserError(f"{where} names no sample; fill 'row', or 'path' and 'crop'")
        named = self._named(path, crop) if path else []
        if number:
            row = int(number) if number.isascii() and number.isdecimal() else len(self.crops)
            if row >= len(self.crops):
                raise UserError(f"{where}: {self.name} has no row '{number}'; its {len(self.crops)} rows count from 0")
            if path and row not in named:
                raise UserError(f"{where}: row {row} of {self.name} is not '{path}'{f' at {crop}' if crop else ''}")
            return row
        if not named:
            raise UserError(f"{where}: {self.name} has no sample '{path}'{f' at {crop}' if crop else ''}")
        if len(named) > 1:
            raise UserError(f"{where}: {len(named)} samples of {self.name} are '{path}'; add column 'row' or 'crop'")
        return named[0]

    def _named(self, path: str, crop: str | None) -> list[int]:
        rows = self.by_path.get(self._spelled(path), [])
        return rows if crop is None else [row for row in rows if self.crops[row] == crop.strip()]

    def _spelled(self, path: str) -> str:
        return os.path.normpath(self.root / path)
