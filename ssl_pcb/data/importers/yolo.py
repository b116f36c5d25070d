"""YOLO text labels: ``images/`` and ``labels/``, a line ``class cx cy w h`` a box, in shares of the image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from ssl_pcb.data.importers.common import (
    ImportOptions,
    Listing,
    SourceImage,
    find_images,
    name_some,
    sort_boxes,
)
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box


def read(src: Path, options: ImportOptions) -> Listing:
    """List a YOLO folder's images; those without a label file are background, so NonDefective.

    The label file of ``.../images/.../x.jpg`` is ``.../labels/.../x.txt``; elsewhere it lies beside the image.

    Raises:
        UserError: If there are no images, no label file belongs to one, or a line is malformed.
    """
    paths = find_images(src)
    names = class_names(src)
    labels = {path: _label_file(path, src) for path in paths}
    present = {path: label for path, label in labels.items() if label.is_file()}
    if not present:
        raise UserError(f"{src}: no label files found (looked for such as {labels[paths[0]]})")
    images = []
    for path in paths:
        boxes, types = read_labels(present[path], names) if path in present else ([], [])
        boxes, types, doubtful = sort_boxes(boxes, types, options.label_map, labels[path])
        images.append(SourceImage(path, None, boxes=boxes, types=types, doubtful=doubtful, relative=True))
    return Listing(src, images, _notes(src, paths, set(present.values())))


def _notes(src: Path, paths: list[Path], used: set[Path]) -> list[str]:
    notes = []
    if len(used) < len(paths):
        notes.append(f"{len(paths) - len(used)} images have no label file and count as NonDefective")
    orphans = [
        path for path in sorted(src.rglob("*.txt")) if "labels" in path.parts and path not in used
        and path.name != "classes.txt"
    ]  # fmt: skip
    if orphans:
        notes.append(f"{len(orphans)} label files have no image: {name_some([path.name for path in orphans])}")
    return notes


def _label_file(image: Path, src: Path) -> Path:
    parts = list(image.relative_to(src).parts)
    folders = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return src.joinpath(*parts).with_suffix(".txt")


def class_names(src: Path) -> dict[int, str]:
    """Class names from ``data.yaml`` or another YAML with ``names``, else ``classes.txt``; may be empty.

    Raises:
        UserError: If such a file is malformed.
    """
    for path in sorted([*src.glob("*.yaml"), *src.glob("*.yml")]):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f"{path}: not readable YAML ({str(error).splitlines()[0]})") from None
        if isinstance(content, dict) and "names" in content:
            return _numbered(content["names"], path)
    for path in (src / "classes.txt", src / "labels" / "classes.txt"):
        if path.is_file():
            return dict(enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n")))
    return {}


def _numbered(names: Any, path: Path) -> dict[int, str]:
    try:
        pairs = names.items() if isinstance(names, dict) else enumerate(list(names))
        return {int(number): str(name) for number, name in pairs}
    except (TypeError, ValueError):
        raise UserError(f"{path}: 'names' is neither a list nor a map of numbers to names") from None


def read_labels(path: Path, names: dict[int, str]) -> tuple[list[Box], list[str]]:
    """Boxes, in shares of the image's sides, and types of one label file; polygons become their boxes.

    Raises:
        UserError: If a line is neither a box nor a polygon.
    """
    boxes: list[Box] = []
    types: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, *values = line.split()
            box = _box([float(value) for value in values])
            types.append(names.get(int(kind), kind).strip())
        except ValueError as error:
            raise UserError(f"{path}: line {number} '{line[:60]}' is not 'class cx cy w h' ({error})") from None
        boxes.append(box)
    return boxes, types


def _box(values: list[float]) -> Box:
    if not all(math.isfinite(value) and -1 <= value <= 2 for value in values):
        raise ValueError("numbers must be shares of the image's width and height")
    if len(values) == 4:
        x, y, width, height = values
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(values) >= 6 and len(values) % 2 == 0:
        box = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    else:
        raise ValueError(f"{len(values)} numbers after the class")
    if not (box[2] > box[0] and box[3] > box[1]):
        raise ValueError("the box has no area")
    return box
