"""COCO detection files (https://cocodataset.org/#format-data): a JSON of images, annotations and categories."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from ssl_pcb.data.importers.common import ImportOptions, Listing, SourceImage, keep_defects
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box


def read(src: Path, options: ImportOptions) -> Listing:
    """List a COCO file's images; those without annotations are NonDefective.

    Images are looked for beside the file, in ``images`` beside it, and in the folders next to its own.

    Raises:
        UserError: If the file is missing or malformed, or lists no images.
    """
    content = _load(src)
    try:
        names = {int(entry["id"]): str(entry["name"]) for entry in content.get("categories", [])}
        entries = {int(entry["id"]): entry for entry in content["images"]}
        found: dict[int, tuple[list[Box], list[str]]] = {key: ([], []) for key in entries}
        for annotation in content.get("annotations", []):
            _add(annotation, names, found, src)
        if not entries:
            raise UserError(f"{src}: no images found, the file lists none")
        folders = _folders(src)
        images = [
            _image(entry, *keep_defects(*found[key], options.label_map), folders)
            for key, entry in sorted(entries.items())
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{src}: not COCO's format ({type(error).__name__}: {error})") from None
    return Listing(src.parent, images)


def _load(src: Path) -> dict[str, Any]:
    if not src.is_file():
        raise UserError(f"{src}: no such file (a COCO source is its JSON file)")
    try:
        content = json.loads(src.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{src}: not JSON ({error})") from None
    if not isinstance(content, dict) or "images" not in content:
        raise UserError(f"{src}: not COCO's format (has no 'images')")
    return content


def _add(
    annotation: dict[str, Any], names: dict[int, str], found: dict[int, tuple[list[Box], list[str]]], src: Path
) -> None:
    image, category = int(annotation["image_id"]), int(annotation["category_id"])
    if image not in found:
        raise UserError(f"{src}: annotation {annotation.get('id')} names image {image}, which is not listed")
    x, y, width, height = (float(value) for value in annotation["bbox"])
    if not (width > 0 and height > 0):
        raise UserError(f"{src}: annotation {annotation.get('id')}: bbox {annotation['bbox']} has no area")
    boxes, types = found[image]
    boxes.append((x, y, x + width, y + height))
    types.append(names.get(category, str(category)))


def _folders(src: Path) -> list[Path]:
    siblings = sorted(path for path in src.parent.parent.iterdir() if path.is_dir())
    below = sorted(path for path in src.parent.iterdir() if path.is_dir())
    return [src.parent, src.parent / "images", src.parent.parent / "images", *below, src.parent.parent, *siblings]


def _image(entry: dict[str, Any], boxes: list[Box], types: list[str], folders: list[Path]) -> SourceImage:
    name = PurePosixPath(str(entry["file_name"]).replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:  # the file must not lead out of its data set
        name = PurePosixPath(name.name)
    places = [folder / name for folder in folders]
    path = next((place for place in places if place.is_file()), places[0])
    stated = (int(entry["width"]), int(entry["height"])) if "width" in entry and "height" in entry else None
    return SourceImage(path, None, boxes=boxes, types=types, stated_size=stated)
