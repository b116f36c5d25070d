"""Class folders: ``src/OK/*.png``, ``src/NG/scratch/*.png``; or a folder of unlabelled images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ssl_pcb.data.importers.common import (
    ImportOptions,
    Listing,
    SourceImage,
    find_images,
    find_others,
    map_label,
)
from ssl_pcb.errors import UserError


def read(src: Path, options: ImportOptions) -> Listing:
    """List a folder's images; the first folder level is the label, unless the label map makes all of them unlabelled.

    Images that lie in ``src`` itself are unlabelled.

    Raises:
        UserError: If there are no images, a folder's name is no label and not mapped, or ``parent`` would
            take the class folders for boards.
    """
    paths = find_images(src)
    words = {path: path.relative_to(src).parts[0] if path.parent != src else "" for path in paths}
    labels = {word: map_label(word, options.label_map, src / word) for word in sorted(set(words.values()))}
    images = [SourceImage(path, labels[words[path]]) for path in paths]
    if options.group_from == "parent" and any(labels.values()):
        _refuse_class_as_board(src, paths)
    loose = sum(not word for word in words.values())
    notes = [f"{loose:,} images lie in no class folder and stay unlabelled"] if loose else []
    return Listing(src, images, notes + _left_out(src))


def _left_out(src: Path) -> list[str]:
    kinds = Counter(path.suffix.lower() or "no ending" for path in find_others(src))
    counted = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common())
    return [f"{kinds.total():,} files are of no type that is read, and left out: {counted}"] if kinds else []


def _refuse_class_as_board(src: Path, paths: list[Path]) -> None:
    for path in paths:
        if path.parent.parent == src:
            raise UserError(
                f"{path}: its parent folder '{path.parent.name}' is its class, not its board; "
                "use --group-from with a regular expression, or none"
            )
