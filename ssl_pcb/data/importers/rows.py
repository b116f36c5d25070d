"""From listed images to manifest rows: boxes turned upright and clipped, images cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ssl_pcb.data.importers.common import ImportOptions, SourceImage
from ssl_pcb.data.manifest import LABELS, REFERENCE, UNTILED, format_boxes
from ssl_pcb.data.tiles import ImageTiles, cut_tiles
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import ImageInfo, decode, probe, turn_boxes
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.tiling import box_share, clip_box

Row = dict[str, str]


@dataclass(frozen=True)
class ImageRows:
    """The rows of one image, its boxes, and what was left out.

    Attributes:
        rows: Manifest rows.
        boxes: The boxes in upright pixels, clipped to the image.
        types: Their defect types, or empty.
        outside: Boxes that lie outside the image, as the source gives them.
        tiles: What cutting kept and dropped.
    """

    rows: list[Row]
    boxes: list[Box]
    types: list[str]
    outside: list[Box]
    tiles: ImageTiles = field(default_factory=ImageTiles)


def make_rows(image: SourceImage, options: ImportOptions, bit_depth: int | None) -> ImageRows:
    """Probe one image and write its rows.

    Args:
        image: As listed by an importer.
        options: Choices of the import.
        bit_depth: Significant bits of the data set's images over 8 bits.

    Raises:
        UserError: If the image cannot be read, or cannot be cut into labelled tiles.
    """
    info = probe(image.path, options.max_pixels)
    rules = options.tile_rules()
    turned = to_upright(image, image.boxes, info, options.box_frame)
    parts = [clip_box(box, (0, 0, info.width, info.height)) for box in turned]
    boxes = [part for part in parts if part]
    types = [name for name, part in zip(image.types, parts, strict=True) if part] if image.types else []
    outside = [box for box, part in zip(image.boxes, parts, strict=True) if not part]
    doubtful = to_upright(image, image.doubtful, info, options.box_frame)
    if rules is None:
        crop = to_upright(image, [image.crop], info, options.box_frame) if image.crop else []
        frame = (0, 0, info.width, info.height)
        label = _label(frame, bool(boxes), doubtful) if image.label is None else image.label
        return ImageRows([_row(image, label, crop, boxes, types)], boxes, types, outside)
    _require_tileable(image)
    grey = decode(image.path, channels=1, bit_depth=bit_depth, max_pixels=options.max_pixels)
    tiles = cut_tiles(grey, boxes, rules)
    return ImageRows(_tile_rows(image, tiles, boxes, types, doubtful), boxes, types, outside, tiles)


def _label(frame: Box, defective: bool, doubtful: list[Box]) -> str:
    """Defective, else unlabelled where a doubtful box reaches into the frame, else NonDefective."""
    return "" if not defective and any(box_share(box, frame) for box in doubtful) else LABELS[defective]


def to_upright(image: SourceImage, boxes: list[Box], info: ImageInfo, box_frame: str) -> list[Box]:
    """Boxes of a source in pixels of the upright image.

    Args:
        image: Says what size the annotation states and whether boxes are relative.
        boxes: Boxes in the source's frame.
        info: The file's header.
        box_frame: ``stored``, ``upright`` or ``auto`` (see :class:`ImportOptions`).
    """
    stored, upright = info.stored_size, (info.width, info.height)
    if box_frame == "auto":
        box_frame = "upright" if image.stated_size == upright != stored else "stored"
    width, height = upright if box_frame == "upright" else stored
    if image.relative:
        boxes = [(x1 * width, y1 * height, x2 * width, y2 * height) for x1, y1, x2, y2 in boxes]
    return boxes if box_frame == "upright" else turn_boxes(boxes, info.orientation, width, height)


def _require_tileable(image: SourceImage) -> None:
    if image.crop:
        raise UserError(f"{image.path}: is already a crop and cannot be cut into tiles; leave out --tile")
    if image.label == LABELS[1] and not image.boxes:
        raise UserError(f"{image.path}: is Defective without boxes, so its tiles have no label; leave out --tile")


def _tile_rows(
    image: SourceImage, tiles: ImageTiles, boxes: list[Box], types: list[str], doubtful: list[Box]
) -> list[Row]:
    rows = []
    tiled = {index for tile in tiles.kept for index in tile.touching}
    untiled = format_boxes([box for index, box in enumerate(boxes) if index not in tiled])
    for tile in tiles.kept:
        label = "" if image.label == "" else _label(tile.crop, tile.defective, doubtful)
        touching = [boxes[index] for index in tile.touching]
        names = [types[index] for index in tile.touching] if types else []
        rows.append(_row(image, label, [tile.crop], touching, names) | {UNTILED: untiled})
    return rows


def _row(image: SourceImage, label: str, crop: list[Box], boxes: list[Box], types: list[str]) -> Row:
    row = {
        "path": image.path.as_posix(),
        "label": label,
        "group": image.group,
        "split": image.split,
        "crop": format_boxes(crop),
        "boxes": format_boxes(boxes),
        "types": ";".join(name.replace(";", ",") for name in types),
    }
    reference = {REFERENCE: image.reference.as_posix()} if image.reference else {}
    return row | ({"place": image.place} if image.place else {}) | reference


def describe_box(path: Path, box: Box, name: str = "") -> str:
    """A box for the summary: image file, coordinates and type."""
    return f"{path.name}: {format_boxes([box])} {name}".rstrip()
