"""Tables of corrections: one decision about a label a line, and the sample that it is about."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.data.files import separator_of
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError

BEFORE = "label_before"
"""Which label a decision was about; in a manifest, the one before the last decision."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


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
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets mark UTF-8 by its first bytes
        frame = pd.read_csv(
            io.StringIO(text), sep=separator_of(text), dtype=str, keep_default_na=False, index_col=False
        ).fillna("")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of corrections") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not a readable table of corrections ({str(error).splitlines()[0]})") from None
    found = ", ".join(frame.columns)
    if "label" not in frame.columns or not {"row", "path"} & set(frame.columns):
        raise UserError(f"{path}: needs the columns 'label', and 'row' or 'path' (found: {found})")
    return frame


class SampleFinder:
    """Finds the row that a line of corrections means.

    Attributes:
        name: What messages call the manifest.
        root: Its folder.
        crops: (N,) of its rows.
        by_path: Absolute path to the rows of that file.
    """

    def __init__(self, manifest: Manifest, name: str) -> None:
        self.name, self.root = name, manifest.root
        self.crops = manifest.frame["crop"].tolist()
        self.by_path: dict[str, list[int]] = defaultdict(list)
        for row, path in enumerate(manifest.frame["path"]):
            self.by_path[self._spelled(path)].append(row)

    def row(self, line: dict[str, str], where: str) -> int:
        """The one row that ``line`` names, by number or by path and crop; both must agree where both are given.

        Args:
            line: Its cells by column.
            where: What messages call it.

        Raises:
            UserError: If it names no sample or several, or its number and its path are of two.
        """
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
