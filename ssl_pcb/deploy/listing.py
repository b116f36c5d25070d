"""From what a user names on the command line to images: files, folders, globs, manifests, a list on standard input."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ssl_pcb.data.manifest import REFERENCE, Manifest, parse_boxes
from ssl_pcb.deploy.items import Item
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import SUFFIXES

log = logging.getLogger(__name__)

STDIN = "-"
TABLES = (".csv", ".parquet")


def listed(names: Sequence[str], lines: Iterable[str], golden: Path | None = None) -> Iterator[Item]:
    """The images that ``names`` mean, in their order.

    A file is itself, even if it cannot be read: its row says so. Of a manifest, each row's crop and golden image are
    taken too.

    Args:
        names: Files, folders (searched through for images), globs, manifests, or ``-``.
        lines: What ``-`` reads, a path a line, as they come.
        golden: A golden image for all, or a folder with one of the same file name for each.

    Raises:
        UserError: Before anything is judged, if a folder, glob or manifest names no image, or there is no ``golden``.
    """
    if golden is not None and not golden.exists():
        raise UserError(f"--reference: {golden} does not exist; name a golden image, or a folder of them")
    found = chain.from_iterable([_meant(name, lines) for name in names])
    return (_beside(item, golden) for item in found)


def _meant(name: str, lines: Iterable[str]) -> Iterable[Item]:
    path = Path(name)
    if name == STDIN:
        return (_file(line) for line in (raw.rstrip("\r\n") for raw in lines) if line)
    if path.is_dir():
        return map(_file, _some(_images(path), f"{name}: holds no image ({', '.join(SUFFIXES)})"))
    if path.suffix.lower() in TABLES:
        return _of_manifest(Manifest.read(path, ignore_splits=True), name)
    if glob.has_magic(name) and not path.exists():
        found = sorted(each for each in glob.glob(name, recursive=True) if not os.path.isdir(each))
        return map(_file, _some(found, f"{name}: no file matches"))
    return [_file(name)]


def _file(name: str) -> Item:
    return Item(name, Path(name))


def _images(folder: Path) -> list[str]:
    files = sorted(str(file) for file in folder.rglob("*") if file.is_file())
    found = [file for file in files if Path(file).suffix.lower() in SUFFIXES]
    others = [file for file in files if Path(file).suffix.lower() not in SUFFIXES]
    if found and others:
        log.warning(
            "%s: %d that do not end as images do (%s) are left out, first %s; name them to have them judged",
            folder, len(others), ", ".join(SUFFIXES), others[0],
        )  # fmt: skip
    return found


def _some(found: list[str], otherwise: str) -> list[str]:
    if not found:
        raise UserError(f"{otherwise}; name images")
    return found


def _of_manifest(manifest: Manifest, name: str) -> Iterator[Item]:
    if not len(manifest):
        raise UserError(f"{name}: the manifest has no rows")
    frame, root = manifest.frame, manifest.root
    golden = frame[REFERENCE] if REFERENCE in frame else [""] * len(frame)
    return (
        Item(path, root / path, parse_boxes(crop)[0] if crop else None, root / other if other else None)
        for path, crop, other in zip(frame["path"], frame["crop"], golden, strict=True)
    )


def _beside(item: Item, golden: Path | None) -> Item:
    if golden is None:
        return item
    return replace(item, golden=golden / Path(item.name).name if golden.is_dir() else golden)
