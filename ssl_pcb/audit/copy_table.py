"""Copies as a table, counted by splits and boards, and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pandas as pd

from ssl_pcb.audit.copies import Copy, Kind
from ssl_pcb.audit.pair_sheet import Pair
from ssl_pcb.audit.stored_greys import packed_picture
from ssl_pcb.audit.symmetries import SYMMETRIES
from ssl_pcb.data.manifest import PSEUDO_GROUP
from ssl_pcb.data.samples import Samples

ACROSS = "across splits"
WHERE = (ACROSS, "across boards", "within a board", "boards unknown")
"""Where the two of a pair are; the first that applies."""

OF_EACH = {"path": "path", "crop": "crop", "split": "split", "board": "group"}
"""What the table says of each of a pair, and the manifest's column that has it."""

COLUMNS = (
    *(f"{which}_{name}" for name in ("row", *OF_EACH) for which in ("first", "second")),
    "kind", "correlation", "difference", "transform", "where", "labels",
)  # fmt: skip


def copy_table(copies: Sequence[Copy], samples: Samples) -> pd.DataFrame:
    """A row a pair, those across splits first, then those across boards, the closest ahead.

    Rows count from 1. ``transform`` turns the first into the second; ``difference`` is in grey levels, at the size in
    which pictures were compared; ``labels`` is ``differ`` or empty, and labels of split ``test`` are not looked at.
    """
    frame = samples.manifest.frame
    rows: list[dict[str, Any]] = []
    for copy in copies:
        both = frame.iloc[[copy.first, copy.second]]
        row: dict[str, Any] = {"first_row": copy.first + 1, "second_row": copy.second + 1}
        for name, column in OF_EACH.items():
            row[f"first_{name}"], row[f"second_{name}"] = both[column]
        known = both["label"].ne("").all() and both["split"].ne("test").all()
        row |= {
            "kind": copy.kind, "correlation": round(copy.fit.correlation, 5),
            "difference": round(copy.fit.difference, 2), "transform": SYMMETRIES[copy.symmetry],
            "where": _where(row), "labels": "differ" if known and both["label"].nunique() == 2 else "",
        }  # fmt: skip
        rows.append(row)
    rows.sort(key=lambda row: (WHERE.index(row["where"]), row["difference"]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def count_copies(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Pairs by where they are and by kind."""
    found = table.groupby(["where", "kind"]).size()
    return {where: {kind: int(found.get((where, kind), 0)) for kind in get_args(Kind)} for where in WHERE}


def copy_pairs(table: pd.DataFrame, samples: Samples, most: int = 12) -> list[Pair]:
    """Pictures of the first pairs of a table, as many kinds of it as there are before any comes again."""
    turn = table.groupby(["where", "kind"], sort=False).cumcount()
    worst = table.assign(turn=turn, place=table["where"].map(WHERE.index)).sort_values(["place", "turn"], kind="stable")
    pairs = []
    for row in worst.head(most).to_dict("records"):
        one, other = (packed_picture(samples, int(row[f"{which}_row"]) - 1) for which in ("first", "second"))
        how = f"differ by {row['difference']:.1f} levels" if row["kind"] == "near" else f"equal {row['kind']}"
        heading = how if row["transform"] == SYMMETRIES[0] else f"{how}; right one is {row['transform']}"
        pairs.append(Pair((one, other), (_notes(row, "first"), _notes(row, "second")), heading))
    return pairs


def _notes(row: dict[Any, Any], which: str) -> list[str]:
    place = [f"split {row[f'{which}_split'] or 'none'}", f"board {row[f'{which}_board'] or 'unknown'}"]
    crop = row[f"{which}_crop"]
    return [str(row[f"{which}_path"]), *([f"crop {crop}"] if crop else []), ", ".join(place)]


def _where(row: dict[str, Any]) -> str:
    splits, boards = ([row[f"first_{name}"], row[f"second_{name}"]] for name in ("split", "board"))
    if all(splits) and splits[0] != splits[1]:
        return ACROSS
    if any(not board or board.startswith(PSEUDO_GROUP) for board in boards):
        return "boards unknown"
    return "within a board" if boards[0] == boards[1] else "across boards"
