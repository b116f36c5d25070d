"""COCO detection files (https://cocodataset.org/#format-data): a JSON of images, annotations and categories."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from ssl_pcb.data.importers.common import ImportOptions, Listing, SourceImage, name_some, sort_boxes
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box


def read(src: Path, options: ImportOptions) -> Listing:
    """List a COCO file's images; those without annotations are NonDefective.

    Images are looked for beside the file, then in ``images`` beside it, then in all folders beside it and next
    to its own.

    Raises:
        UserError: If the file is missing or malformed, lists no images, or several folders hold an image; or
            if the folders around it cannot be read.
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
        images = [_image(src, entry, *found[key], options, folders) for key, entry in sorted(entries.items())]
    except OSError as error:
        raise UserError(
            f"{error.filename or src}: cannot be read ({error.strerror or error}), where images of {src} may be; "
            "make it readable, or move them and the file elsewhere"
        ) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{src}: not COCO's format ({type(error).__name__}: {error})") from None
    return Listing(src.parent, images)


def _load(src: Path) -> dict[str, Any]:
    if not src.is_file():
        raise UserError(f"{src}: no such file (a COCO source is its JSON file)")
    try:
        content = json.loads(src.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{src}: cannot be read ({error.strerror or error})") from None
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
    """Where images may lie: with the JSON file, or beside its folder where that is COCO's ``annotations``."""
    below = sorted(path for path in src.parent.iterdir() if path.is_dir())
    if src.parent.name != "annotations":  # other neighbours are other people's data sets
        return list(dict.fromkeys([src.parent, src.parent / "images", *below]))
    siblings = sorted(path for path in src.parent.parent.iterdir() if path.is_dir())
    return list(dict.fromkeys([src.parent, src.parent / "images", *below, src.parent.parent, *siblings]))


def _image(
    src: Path,
    entry: dict[str, Any],
    boxes: list[Box],
    types: list[str],
    options: ImportOptions,
    folders: list[Path],
) -> SourceImage:
    name = PurePosixPath(str(entry["file_name"]).replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:  # the file must not lead out of its data set
        name = PurePosixPath(name.name)
    path = _find(src, name, folders)
    stated = (int(entry["width"]), int(entry["height"])) if "width" in entry and "height" in entry else None
    boxes, types, doubtful = sort_boxes(boxes, types, options.label_map, f"{src}: {name}")
    return SourceImage(path, None, boxes=boxes, types=types, doubtful=doubtful, stated_size=stated)


def _find(src: Path, name: PurePosixPath, folders: list[Path]) -> Path:
    own, others = folders[:2], folders[2:]
    places = [folder / name for folder in own if (folder / name).is_file()][:1]
    if not places:  # folders may be links to one another
        found = [folder / name for folder in others if (folder / name).is_file()]
        places = list({place.resolve(): place for place in found}.values())
    if len(places) > 1:
        raise UserError(
            f"{src}: several images are called '{name}': {name_some([str(place) for place in places])}; "
            f"put those that are meant into {src.parent / 'images'}"
        )
    return places[0] if places else folders[0] / name
