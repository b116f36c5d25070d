"""What all importers share: options, the form in which they list what they found, labels and groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.tiles import TileRules
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import MAX_PIXELS, SUFFIXES
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.tiling import ENOUGH

UNLABELLED = "unlabelled"
BOX_FRAMES = ("auto", "stored", "upright")


@dataclass(frozen=True)
class ImportOptions:
    """Choices of an import.

    Attributes:
        label_map: Word in the source to ``Defective``, ``NonDefective`` or ``unlabelled``; the word ``*``
            stands for all others. In box formats it applies to defect types: without a map all are
            Defective; those that are ``NonDefective`` are left out, and a sample that shows only
            ``unlabelled`` ones is unlabelled.
        group_from: Where the board's name comes from: ``parent`` (the folder), ``none`` (near-duplicates
            form stand-in groups), a regular expression with one group that is searched in the path, or a
            column of a table; ``None`` = the importer's default.
        tile: Side of the tiles in pixels; 0 = images stay whole; ``None`` = 128 for DeepPCB, else 0.
        overlap: Pixels that neighbouring tiles share.
        min_box_share: Share of a box that makes a tile Defective.
        blank_std: Tiles with a smaller grey standard deviation are dropped; ``None`` = 20 for DeepPCB, which is black
            and white, else 4: copper under solder mask has little more.
        templates: DeepPCB only: add tiles of the defect-free templates.
        box_frame: Whether boxes count pixels of the ``stored`` or the ``upright`` image; ``auto`` = upright
            where the annotation states the upright size and not the stored one, else stored.
        max_pixels: Refuse larger images.
        skip_bad: Leave unreadable images out and count them, instead of stopping.
        overwrite: Replace a manifest that is there already.
    """

    label_map: dict[str, str] = field(default_factory=dict)
    group_from: str | None = None
    tile: int | None = None
    overlap: int = 0
    min_box_share: float = ENOUGH
    blank_std: float | None = None
    templates: bool = False
    box_frame: str = "auto"
    max_pixels: int = MAX_PIXELS
    skip_bad: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.box_frame not in BOX_FRAMES:
            raise UserError(f"box frame '{self.box_frame}' is not one of {', '.join(BOX_FRAMES)}")
        for word, label in self.label_map.items():
            if _canonical(label) is None:
                raise UserError(f"label map: '{word}={label}' must map to {', '.join(LABELS)} or {UNLABELLED}")

    def tile_rules(self) -> TileRules | None:
        """The rules for cutting, or ``None`` where images stay whole."""
        if not self.tile:
            return None
        rules = TileRules(self.tile, self.overlap, self.min_box_share)
        return rules if self.blank_std is None else replace(rules, blank_std=self.blank_std)


@dataclass(frozen=True)
class SourceImage:
    """One image as an importer found it.

    Attributes:
        path: Absolute path of the file, which may be missing.
        label: ``Defective``, ``NonDefective``, empty for unlabelled, or ``None``: the boxes decide.
        group: The board; empty = not known to the importer.
        split: A split that the source assigns.
        place: What a tested image and its template have in common.
        crop: The sample's part of the image, in the frame of the boxes.
        boxes: Defect boxes, in pixels, or in shares of width and height where ``relative``.
        types: Defect type of each box, or empty.
        doubtful: Boxes of types that are unlabelled, in the frame of the boxes: neither defects nor clean.
        relative: Whether boxes are shares of the image's sides.
        stated_size: Width and height that the annotation states.
        reference: The golden image of the same place, aligned with this one.
    """

    path: Path
    label: str | None
    group: str = ""
    split: str = ""
    place: str = ""
    crop: Box | None = None
    boxes: list[Box] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    doubtful: list[Box] = field(default_factory=list)
    relative: bool = False
    stated_size: tuple[int, int] | None = None
    reference: Path | None = None


@dataclass
class Listing:
    """All images of a source.

    Attributes:
        root: Where their relative paths start.
        images: In the order of the manifest to be.
        notes: Remarks for the summary.
        grouped: Whether ``group_from`` has been applied already.
    """

    root: Path
    images: list[SourceImage]
    notes: list[str] = field(default_factory=list)
    grouped: bool = False


def find_images(folder: Path) -> list[Path]:
    """Image files anywhere below a folder, by their file name ending, sorted; hidden ones are left out.

    Raises:
        UserError: If the folder is missing or holds no image.
    """
    require_folder(folder)
    found = sorted(path for path in _walk(folder) if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"{folder}: no images found (looked for {', '.join(SUFFIXES)})")
    return found


def find_others(folder: Path) -> list[Path]:
    """Files that :func:`find_images` passes over for their ending."""
    return [path for path in _walk(folder) if path.suffix.lower() not in SUFFIXES]


def require_folder(folder: Path) -> None:
    """Raise ``UserError`` unless ``folder`` is one."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def map_label(word: str, label_map: dict[str, str], where: object) -> str:
    """The manifest's label for a word of the source.

    Args:
        word: Folder name or cell; empty = unlabelled.
        label_map: The user's map.
        where: File or folder for the error message.

    Raises:
        UserError: If the word is neither mapped nor a label itself; common words are not guessed.
    """
    label = _canonical(label_map.get(word, word))
    if label is None:
        label = _canonical(label_map.get("*", "?"))
    if label is None:
        raise UserError(
            f"{where}: label '{word}' is not known; say what it means with --label-map "
            f"'{word}=Defective', '{word}=NonDefective' or '{word}={UNLABELLED}' ('*={UNLABELLED}' if none is a label)"
        )
    return label


def _canonical(word: str) -> str | None:
    names = {"": "", UNLABELLED: "", **{label.lower(): label for label in LABELS}}
    return names.get(word.strip().lower())


def sort_boxes(
    boxes: list[Box], types: list[str], label_map: dict[str, str], where: object
) -> tuple[list[Box], list[str], list[Box]]:
    """Boxes and types of defects, and the boxes of unlabelled types; NonDefective ones are left out.

    Args:
        boxes: Boxes of one image.
        types: Their types; an empty one counts as ``*``.
        label_map: The user's map; empty = all are defects.
        where: File for the error message.

    Raises:
        UserError: If there is a map and a type is not in it.
    """
    labels = [map_label(name or "*", label_map, where) if label_map else LABELS[1] for name in types]
    listed = list(zip(boxes, types, labels, strict=True))
    defects = [(box, name) for box, name, label in listed if label == LABELS[1]]
    doubtful = [box for box, _, label in listed if not label]
    return [box for box, _ in defects], [name for _, name in defects], doubtful


def group_by_path(listing: Listing, group_from: str) -> list[str]:
    """Group of each image by ``parent`` or by a regular expression.

    Raises:
        UserError: If the expression is broken, has not exactly one group, or does not match a path.
    """
    if group_from == "parent":
        return [image.path.parent.name for image in listing.images]
    pattern = _compile(group_from)
    groups = []
    for image in listing.images:
        name = relative_name(image.path, listing.root)
        match = pattern.search(name)
        if not match or not match[1]:
            raise UserError(f"{name}: --group-from '{group_from}' finds no board in this path")
        groups.append(match[1])
    return groups


def _compile(expression: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise UserError(f"--group-from '{expression}': not a regular expression ({error})") from None
    if pattern.groups != 1:
        raise UserError(
            f"--group-from '{expression}': must be 'parent', 'none', a table's column, or a regular "
            "expression with one group in parentheses, such as 'board(\\d+)'"
        )
    return pattern


def relative_name(path: Path, root: Path) -> str:
    """The path below ``root`` with forward slashes, or the whole path where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def name_some(names: list[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
