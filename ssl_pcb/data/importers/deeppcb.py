"""DeepPCB's official layout (Tang et al., 2019, arXiv:1902.06197).

``PCBData/groupNNNNN/NNNNN/<id>_test.jpg`` with ``<id>_temp.jpg`` beside it and boxes in
``PCBData/groupNNNNN/NNNNN_not/<id>.txt``, a line each: ``x1 y1 x2 y2 type``. One group is one board.
"""

from __future__ import annotations

import re
from pathlib import Path

from ssl_pcb.data.importers.common import (
    ImportOptions,
    Listing,
    SourceImage,
    name_some,
    require_folder,
    sort_boxes,
)
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box

TYPES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
"""Defect types by the number in a box line, from 1."""

TEMPLATE_WARNING = (
    "WARNING: templates were taken as NonDefective. They were saved at another JPEG quality than the tested "
    "images, so the file format alone tells the classes apart (AUROC 1.000): a classifier trained on this "
    "learns nothing about defects"
)


def read(src: Path, options: ImportOptions) -> Listing:
    """List the tested images of a DeepPCB folder, and the templates where asked for.

    Raises:
        UserError: If there are no groups or no tested images, or a box line is malformed.
    """
    require_folder(src)
    base = src / "PCBData" if (src / "PCBData").is_dir() else src
    listing = Listing(src, [])
    unpaired: list[str] = []
    for folder in sorted(base.glob("group*")):
        match = re.fullmatch(r"group(\w+)", folder.name)
        if match and folder.is_dir():
            _read_group(folder, match[1], options, listing, unpaired)
    if not listing.images:
        raise UserError(f"{src}: no 'groupNNNNN/NNNNN/*_test.jpg' with boxes in 'groupNNNNN/NNNNN_not'")
    if unpaired:
        listing.notes.append(f"{len(unpaired)} unpaired files left out: {name_some(unpaired)}")
    if options.templates:
        listing.notes.append(TEMPLATE_WARNING)
    return listing


def _read_group(folder: Path, board: str, options: ImportOptions, listing: Listing, unpaired: list[str]) -> None:
    texts = {path.stem: path for path in (folder / f"{board}_not").glob("*.txt")}
    tested = {path.stem.removesuffix("_test"): path for path in (folder / board).glob("*_test.jpg")}
    templates = {path.stem.removesuffix("_temp"): path for path in (folder / board).glob("*_temp.jpg")}
    unpaired += [path.name for key, path in sorted(texts.items()) if key not in tested]
    unpaired += [path.name for key, path in sorted(tested.items()) if key not in texts]
    unpaired += [path.name for key, path in sorted(templates.items()) if key not in tested]
    for key in sorted(tested.keys() & texts.keys()):
        boxes, types, doubtful = sort_boxes(*read_boxes(texts[key]), options.label_map, texts[key])
        place = key if options.templates else ""
        listing.images.append(
            SourceImage(
                tested[key], None, group=board, place=place, boxes=boxes, types=types, doubtful=doubtful,
                reference=templates.get(key),
            )
        )  # fmt: skip
        if options.templates and key in templates:
            listing.images.append(SourceImage(templates[key], LABELS[0], group=board, place=place))


def read_boxes(path: Path) -> tuple[list[Box], list[str]]:
    """Boxes and defect types of one annotation file; numbers are separated by spaces or commas.

    Raises:
        UserError: If a line is not four coordinates and a type from 1 to 6.
    """
    boxes: list[Box] = []
    types: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            x1, y1, x2, y2, kind = (int(value) for value in line.replace(",", " ").split())
            types.append(dict(enumerate(TYPES, 1))[kind])
        except (ValueError, KeyError):
            raise UserError(f"{path}: line {number} '{line[:60]}' is not 'x1 y1 x2 y2 type'") from None
        boxes.append((float(x1), float(y1), float(x2), float(y2)))
    return boxes, types
