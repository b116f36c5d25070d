"""Pascal VOC annotations (Everingham et al., 2010, IJCV 88): one XML file an image."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from xml.etree import ElementTree
from xml.parsers import expat

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
    """List the images that XML files anywhere below ``src`` describe; images without one stay unlabelled.

    Raises:
        UserError: If there are no images or annotations, or one is malformed or has a document type.
    """
    images = find_images(src)
    annotations = sorted(src.rglob("*.xml"))
    if not annotations:
        raise UserError(f"{src}: no .xml annotations found")
    by_name: dict[str, list[Path]] = {}
    for path in images:
        by_name.setdefault(path.name, []).append(path)
    listed = [_image(path, by_name, options) for path in annotations]
    described = {image.path for image in listed}
    rest = [path for path in images if path not in described]
    notes = [f"{len(rest)} images without XML stay unlabelled: {name_some([p.name for p in rest])}"] if rest else []
    return Listing(src, listed + [SourceImage(path, "") for path in rest], notes)


def _image(path: Path, by_name: dict[str, list[Path]], options: ImportOptions) -> SourceImage:
    root = parse_xml(path)
    # Only the name counts: annotation tools write whatever folders they had.
    name = PureWindowsPath(root.findtext("filename") or "").name
    candidates = by_name.get(name, [])
    if len(candidates) > 1:
        near = [place for place in candidates if place.parent == path.parent]
        candidates = near or [place for place in candidates if _alike(place, path)]
        if len(candidates) > 1:
            raise UserError(f"{path}: several images are called '{name}': {name_some([str(c) for c in candidates])}")
    image = candidates[0] if candidates else path.parent / (name or f"{path.stem} (no <filename>)")
    try:
        boxes, types = [], []
        for item in root.iter("object"):
            boxes.append(_box(item))
            types.append((item.findtext("name") or "").strip())
        width, height = root.findtext("size/width"), root.findtext("size/height")
        stated = (int(float(width)), int(float(height))) if width and height else None
    except ValueError as error:
        raise UserError(f"{path}: not a Pascal VOC annotation ({error})") from None
    boxes, types, doubtful = sort_boxes(boxes, types, options.label_map, path)
    return SourceImage(image, None, boxes=boxes, types=types, doubtful=doubtful, stated_size=stated)


def _alike(image: Path, annotation: Path) -> bool:
    """Whether two files lie in folders that differ only in one name (JPEGImages and Annotations)."""
    first, second = image.parent.parts, annotation.parent.parts
    return len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) == 1


def _box(item: ElementTree.Element) -> Box:
    x1, y1, x2, y2 = (float(item.findtext(f"bndbox/{key}") or "nan") for key in ("xmin", "ymin", "xmax", "ymax"))
    # VOC counts pixels from 1 and includes the last one.
    box = (x1 - 1, y1 - 1, x2, y2)
    if not (box[2] > box[0] and box[3] > box[1]):
        raise ValueError(f"bndbox {x1:g} {y1:g} {x2:g} {y2:g} has no area")
    return box


def parse_xml(path: Path) -> ElementTree.Element:
    """Parse an XML file that defines no entities, so that none can be expanded without end.

    Raises:
        UserError: If it is malformed or has a document type declaration.
    """

    def refuse(*_: object) -> None:
        raise UserError(f"{path}: has a document type declaration, which annotations do not need; remove it")

    try:
        text = path.read_bytes()
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = refuse
        parser.Parse(text, True)
        return ElementTree.fromstring(text)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{path}: not readable XML ({error})") from None
