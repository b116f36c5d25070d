"""The manifest: one table, a row a sample, that every command reads.

Columns (all text; empty means "none"):

===========  ==========================================================================================
``path``     image file, relative to the manifest's folder or absolute
``label``    ``Defective``, ``NonDefective``, or empty for unlabelled
``group``    the board; a leading ``~`` marks a stand-in (near-duplicate cluster), not a real board
``split``    ``train``, ``holdout`` (images of training boards kept apart), ``val``, ``test``, or empty
``crop``     ``x1 y1 x2 y2``: the part of the image that is this sample; empty = the whole image
``boxes``    defect boxes, ``x1 y1 x2 y2`` each, separated by ``;``
``types``    the boxes' defect types, separated by ``;``, as many as boxes (or empty)
===========  ==========================================================================================

``reference``, if there is such a column, is the golden image of the same place, aligned pixel by pixel with ``path``.
``untiled_boxes``, in a manifest of tiles, are the image's defect boxes that touch none of them, since the tiles that
they touch were dropped; each row of the image has them. Without that column they are not known.

All coordinates are pixels of the *upright* source image (after EXIF orientation), x to the right, y down,
x2 and y2 exclusive. Boxes stay in source coordinates even where the sample is a crop. Further columns are
kept and passed through.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssl_pcb.data.files import whole_file
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box

LABELS = ("NonDefective", "Defective")
"""Class names; a label's position is its class index, so the positive class 1 is ``Defective``."""

SPLITS = ("train", "holdout", "val", "test")
COLUMNS = ("path", "label", "group", "split", "crop", "boxes", "types")
REFERENCE, UNTILED = "reference", "untiled_boxes"
PATH_COLUMNS = ("path", "twin", "mask", REFERENCE)
"""Columns whose relative paths start from the manifest's folder; all but the first are optional."""

PSEUDO_GROUP = "~"

SPLIT_MEND = "run 'ssl-pcb data split' on it"
"""What to do about a split that leaks, unless the caller of :meth:`Manifest.build` knows better."""


def parse_boxes(text: str) -> list[Box]:
    """Parse ``"x1 y1 x2 y2;x1 y1 x2 y2"``; raises ``ValueError`` on anything else."""
    boxes: list[Box] = []
    for part in text.split(";") if text.strip() else []:
        x1, y1, x2, y2 = (float(value) for value in part.split())
        if not (x2 > x1 and y2 > y1 and all(map(math.isfinite, (x1, y1, x2, y2)))):
            raise ValueError(f"box '{part}' has no finite area")
        boxes.append((x1, y1, x2, y2))
    return boxes


def format_boxes(boxes: list[Box]) -> str:
    """The inverse of :func:`parse_boxes`."""
    return ";".join(" ".join(f"{value:.10g}" for value in box) for box in boxes)


@dataclass(frozen=True)
class Sample:
    """One manifest row, parsed.

    Attributes:
        index: Row number in the manifest it was read from.
        path: Absolute path of the image file.
        label: Class index into :data:`LABELS`, or -1 for unlabelled.
        group: Board name, possibly empty.
        split: One of :data:`SPLITS`, or empty.
        crop: The sample's part of the upright source image, or ``None`` for all of it.
        boxes: Defect boxes in upright source pixels.
        types: Defect type of each box; empty if unknown.
    """

    index: int
    path: Path
    label: int
    group: str
    split: str
    crop: Box | None
    boxes: list[Box]
    types: list[str]


@dataclass(frozen=True)
class Manifest:
    """A validated table of samples and the folder that its relative paths start from."""

    frame: pd.DataFrame
    root: Path

    @classmethod
    def build(
        cls,
        rows: list[dict[str, Any]] | pd.DataFrame,
        root: Path,
        source: str = "manifest",
        split_mend: str = SPLIT_MEND,
    ) -> Manifest:
        """Fill missing columns with empty text, validate, and wrap.

        Args:
            rows: Records or a frame with at least ``path``.
            root: Folder that relative paths start from.
            source: What to call the table in error messages.
            split_mend: What to do about a group or an image in two splits, for the error message.

        Raises:
            UserError: On a missing ``path`` column, an unknown label or split, a malformed crop or box,
                a number of types that is not that of boxes, one group on two sides of train / val / test, or
                one image file in two splits.
        """
        frame = pd.DataFrame(rows)
        # Not fillna: a categorical column takes no value that is none of its categories.
        frame = frame.astype(object).where(frame.notna(), "").astype(str).reset_index(drop=True)
        if "path" not in frame.columns:
            raise UserError(f"{source}: has no 'path' column (found: {', '.join(frame.columns) or 'nothing'})")
        for column in COLUMNS:
            if column not in frame.columns:
                frame[column] = ""
        frame = frame[[*COLUMNS, *(c for c in frame.columns if c not in COLUMNS)]]
        manifest = cls(frame, root.resolve())
        manifest._validate(source, split_mend)
        return manifest

    @classmethod
    def read(cls, path: Path | str, *, ignore_splits: bool = False) -> Manifest:
        """Read a ``.csv`` or ``.parquet`` manifest.

        Args:
            path: The file.
            ignore_splits: Leave all splits empty, whatever the file says, so that faulty ones can be redone.

        Raises:
            UserError: If the file is missing, is neither format, or does not validate.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such manifest (make one with 'ssl-pcb data import' or 'ssl-pcb data synth')")
        try:
            if path.suffix == ".parquet":
                frame = pd.read_parquet(path)
            elif path.suffix == ".csv":
                frame = pd.read_csv(path, dtype=str, keep_default_na=False)
            else:
                raise UserError(f"{path}: a manifest is a .csv or .parquet file")
        except (ValueError, OSError) as error:  # pandas' and pyarrow's parser errors are ValueErrors
            raise UserError(f"{path}: not a readable manifest ({str(error).splitlines()[0]})") from error
        if ignore_splits:
            frame["split"] = ""
        return cls.build(frame, path.parent, source=str(path))

    def write(self, path: Path | str) -> None:
        """Write as ``.csv`` or ``.parquet``, whole or not at all; paths are made relative to its folder.

        Raises:
            UserError: If ``path`` has another ending or cannot be written.
        """
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise UserError(f"{path}: a manifest is written as .csv or .parquet")
        folder = path.parent.resolve()
        moved = {
            column: [_relative(self.root / text, folder) if text else "" for text in self.frame[column]]
            for column in PATH_COLUMNS
            if column in self.frame.columns
        }
        frame = self.frame.assign(**moved)
        with whole_file(path) as part:
            if path.suffix == ".parquet":
                frame.to_parquet(part, index=False)
            else:
                frame.to_csv(part, index=False, lineterminator="\n")

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(index) for index in range(len(self)))

    def sample(self, index: int) -> Sample:
        """Row ``index``, parsed."""
        row = self.frame.iloc[index]
        crop = parse_boxes(row["crop"])
        return Sample(
            index=index,
            path=self.root / row["path"],
            label=LABELS.index(row["label"]) if row["label"] else -1,
            group=row["group"],
            split=row["split"],
            crop=crop[0] if crop else None,
            boxes=parse_boxes(row["boxes"]),
            types=row["types"].split(";") if row["types"] else [],
        )

    def select(self, mask: Any) -> Manifest:
        """The rows where ``mask`` (boolean, one per row) is true, renumbered."""
        return Manifest(self.frame[mask].reset_index(drop=True), self.root)

    def split(self, *names: str) -> Manifest:
        """The rows of the named splits."""
        return self.select(self.frame["split"].isin(names))

    def references(self, name: str) -> Manifest:
        """Each row's golden image in the place of its own, under the same crop.

        Args:
            name: What to call this manifest in the error message.

        Raises:
            UserError: If a row has none.
        """
        named = self.frame[REFERENCE] if REFERENCE in self.frame.columns else pd.Series("", self.frame.index)
        lacking = int(named.eq("").sum())
        if lacking:
            raise UserError(
                f"{name}: {lacking} of {len(self)} rows name no golden image in column '{REFERENCE}'; fill it, or "
                "learn from the images alone, without --references"
            )
        return Manifest(self.frame.assign(path=named), self.root)

    @property
    def board_disjoint(self) -> bool:
        """Whether groups are real boards, so that splits by group are splits by board."""
        groups = self.frame["group"]
        return bool(len(groups)) and not (groups.eq("").any() or groups.str.startswith(PSEUDO_GROUP).any())

    def _validate(self, source: str, split_mend: str) -> None:
        _check_words(self.frame, "label", LABELS, source)
        _check_words(self.frame, "split", SPLITS, source)
        for column in ("crop", "boxes", *({UNTILED} & set(self.frame.columns))):
            for line, text in enumerate(self.frame[column]):
                try:
                    found = parse_boxes(text) if text else []
                except ValueError as error:
                    raise UserError(
                        f"{source}: row {line + 1}, {column} '{text}' is not 'x1 y1 x2 y2' ({error})"
                    ) from None
                if column == "crop" and len(found) > 1:
                    raise UserError(f"{source}: row {line + 1}, crop '{text}' must be one box")
        boxes, types = self.frame["boxes"], self.frame["types"]
        unmatched = types.ne("") & (boxes.eq("") | (boxes.str.count(";") != types.str.count(";")))
        if unmatched.any():
            line = int(np.argmax(unmatched)) + 1
            raise UserError(f"{source}: row {line} must have as many types as boxes (or none)")
        self._refuse_leaks(source, split_mend)

    def _refuse_leaks(self, source: str, mend: str) -> None:
        splits = self.frame["split"]
        group = _spread(self.frame["group"], splits.replace({"holdout": "train"}))
        if group:
            raise UserError(f"{source}: group {group}; one board must stay in one split: {mend}")
        # Two spellings of a path are one file.
        spelled = {path: os.path.normpath(self.root / path) for path in self.frame["path"].unique()}
        image = _spread(self.frame["path"].map(spelled), splits)
        if image:
            raise UserError(f"{source}: image {image}; one image must stay in one split: {mend}")


def _spread(names: pd.Series[str], sides: pd.Series[str]) -> str | None:
    """The first name on several sides, and which; rows without a name or a side are anywhere."""
    known = names.ne("") & sides.ne("")
    pairs = pd.DataFrame({"name": names[known], "side": sides[known]}).drop_duplicates()
    several = pairs["name"][pairs["name"].duplicated()]
    if several.empty:
        return None
    found = pairs["side"][pairs["name"] == several.iloc[0]]
    return f"'{several.iloc[0]}' is in two splits ({', '.join(sorted(found))})"


def _check_words(frame: pd.DataFrame, column: str, allowed: tuple[str, ...], source: str) -> None:
    bad = frame[column][~frame[column].isin(["", *allowed])]
    if len(bad):
        raise UserError(
            f"{source}: row {int(bad.index[0]) + 1}, {column} '{bad.iloc[0]}' is not one of "
            f"{', '.join(allowed)} or empty"
        )


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return path.as_posix()
