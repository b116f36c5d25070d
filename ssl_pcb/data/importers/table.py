"""A CSV table of images: columns path (or image, file, filename), label (or class), and the manifest's own."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ssl_pcb.data.files import separator_of
from ssl_pcb.data.importers.common import ImportOptions, Listing, SourceImage, map_label
from ssl_pcb.data.manifest import parse_boxes
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box

PATH_COLUMNS = ("path", "image", "file", "filename")
LABEL_COLUMNS = ("label", "class")


def read(src: Path, options: ImportOptions) -> Listing:
    """List a table's rows; paths start from the table's folder.

    Columns ``group``, ``split``, ``crop``, ``boxes``, ``types`` and ``reference`` are taken over where they exist.
    Without a label column all rows are unlabelled, or labelled by their boxes where there is such a column.

    Raises:
        UserError: If the table is missing, empty, malformed, or has an unknown label.
    """
    header, rows = _load(src)
    column = {name.strip().lower(): name for name in header}
    path_column = _first(column, PATH_COLUMNS)
    if path_column is None:
        raise UserError(f"{src}: has no column {', '.join(PATH_COLUMNS)} (found: {', '.join(header)})")
    label_column = _first(column, LABEL_COLUMNS)
    if label_column is None and options.label_map and "boxes" not in column:
        raise UserError(
            f"{src}: has no column {' or '.join(LABEL_COLUMNS)} for --label-map to read (found: {', '.join(header)})"
        )
    group_column = _group_column(column, options.group_from)
    images = []
    for number, row in enumerate(rows, 1):
        where = f"{src}: row {number} ({row[path_column]})"
        if not row[path_column].strip():
            raise UserError(f"{src}: row {number} names no image")
        label = None if label_column is None and "boxes" in column else ""
        if label_column is not None:
            label = map_label(row[label_column].strip(), options.label_map, where)
        crops = _boxes(row.get(column.get("crop", ""), ""), where, "crop")
        if len(crops) > 1:
            raise UserError(f"{where}: crop must be one box")
        boxes = _boxes(row.get(column.get("boxes", ""), ""), where, "boxes")
        types = [name for name in row.get(column.get("types", ""), "").split(";") if name]
        if types and len(types) != len(boxes):
            raise UserError(f"{where}: must have as many types as boxes (or none)")
        reference = row.get(column.get("reference", ""), "").strip()
        images.append(
            SourceImage(
                src.parent / row[path_column].strip(),
                label,
                group=row[group_column].strip() if group_column else "",
                split=row.get(column.get("split", ""), "").strip(),
                crop=crops[0] if crops else None,
                boxes=boxes,
                types=types,
                reference=src.parent / reference if reference else None,
            )
        )
    return Listing(src.parent, images, grouped=bool(options.group_from and group_column))


def _load(src: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows; cells are separated by whichever of comma, semicolon and tab the header has most of."""
    if not src.is_file():
        raise UserError(f"{src}: no such table")
    try:
        text = src.read_text(encoding="utf-8-sig")
        separator = separator_of(text)
        header, *rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True) if row] or [[]]
    except (ValueError, OSError, csv.Error) as error:
        raise UserError(f"{src}: not a readable CSV table ({str(error).splitlines()[0]})") from error
    if not rows:
        raise UserError(f"{src}: no images found, the table has no rows")
    for number, row in enumerate(rows, 1):
        if any(row[len(header) :]):
            raise UserError(
                f"{src}: row {number} ({row[0]}) has {len(row)} cells and the header {len(header)}; "
                f"quote cells that hold '{separator}'"
            )
    empty = [""] * len(header)
    return header, [dict(zip(header, row + empty, strict=False)) for row in rows]


def _first(column: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((column[name] for name in names if name in column), None)


def _group_column(column: dict[str, str], group_from: str | None) -> str | None:
    if group_from == "none":
        return None
    return column.get((group_from or "group").strip().lower())


def _boxes(text: str, where: str, name: str) -> list[Box]:
    try:
        return parse_boxes(text)
    except ValueError as error:
        raise UserError(f"{where}: {name} '{text}' is not 'x1 y1 x2 y2' ({error})") from None
