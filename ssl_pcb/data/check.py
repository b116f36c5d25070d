"""A manifest and all its files, checked: everything that is wrong, not only the first."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from ssl_pcb.data.importers.common import name_some
from ssl_pcb.data.manifest import REFERENCE, Manifest, Sample, format_boxes
from ssl_pcb.data.parallel import map_files
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import MAX_PIXELS, ImageInfo, decode, probe, significant_bits
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.tiling import clip_box


@dataclass
class CheckReport:
    """What a check found.

    Attributes:
        faults: What must be mended, a line each: unreadable files, golden images of another size, crops and boxes
            outside their image, one file's content in two splits.
        facts: Counts of sizes, channels, bit depths, labels and groups, a line each.
    """

    faults: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing must be mended."""
        return not self.faults

    def lines(self) -> list[str]:
        """Facts, then every fault, for the terminal."""
        end = "no faults" if self.ok else f"{len(self.faults)} fault(s):"
        return [*self.facts, end, *(f"  {fault}" for fault in self.faults)]


@dataclass(frozen=True)
class _File:
    info: ImageInfo
    bits: int
    digest: str


def check_manifest(
    manifest: Manifest, *, max_pixels: int = MAX_PIXELS, progress: Callable[[], object] | None = None
) -> CheckReport:
    """Decode every file of a manifest once, golden images too, and compare the rows with it.

    Args:
        manifest: What to check.
        max_pixels: Larger images are faults.
        progress: Called after each file.
    """
    pairs = _golden(manifest)
    golden = [other for *_, other in pairs]
    paths = list(dict.fromkeys(manifest.root / path for path in [*manifest.frame["path"], *golden]))
    results = map_files(lambda path: _read(path, max_pixels), paths, progress)
    report = CheckReport()
    read: dict[Path, _File] = {}
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, UserError):
            report.faults.append(str(result))
        else:
            read[path] = result
    files = {path: read[path] for path in map(manifest.root.joinpath, manifest.frame["path"].unique()) if path in read}
    report.faults += _unequal(manifest.root, pairs, read)
    samples = list(manifest)
    for sample in samples:
        if sample.path in files:
            report.faults += _outside(sample, files[sample.path].info)
    copies = _copies(files)
    report.faults += _copies_across_splits(copies, samples)
    report.facts = _facts(manifest, samples, files, copies)
    return report


def _read(path: Path, max_pixels: int) -> _File:
    info = probe(path, max_pixels)
    decode(path, max_pixels=max_pixels)
    bits = significant_bits(path, max_pixels) if info.bits == 16 else 8
    with path.open("rb") as file:
        return _File(info, bits, hashlib.file_digest(file, "sha256").hexdigest())


def _golden(manifest: Manifest) -> list[tuple[int, str, str]]:
    """Row, image and the golden image that is named there, each pair once."""
    if REFERENCE not in manifest.frame:
        return []
    pairs = manifest.frame[["path", REFERENCE]].drop_duplicates()
    return [(row, path, golden) for row, path, golden in pairs.itertuples() if golden]


def _unequal(root: Path, pairs: list[tuple[int, str, str]], read: dict[Path, _File]) -> list[str]:
    """Golden images that cannot be aligned pixel by pixel."""
    faults = []
    for row, path, other in pairs:
        if root / path in read and root / other in read:
            one, two = read[root / path].info, read[root / other].info
            if (one.width, one.height) != (two.width, two.height):
                faults.append(
                    f"{root / other}: row {row + 1}, a golden image of {two.width} x {two.height} pixels for one of "
                    f"{one.width} x {one.height}; name another in column '{REFERENCE}'"
                )
    return faults


def _outside(sample: Sample, info: ImageInfo) -> list[str]:
    frame: Box = (0, 0, info.width, info.height)
    where = f"{sample.path}: row {sample.index + 1},"
    size = f"the image of {info.width} x {info.height} pixels"
    faults = []
    if sample.crop and clip_box(sample.crop, frame) != tuple(map(float, sample.crop)):
        faults.append(f"{where} crop {format_boxes([sample.crop])} is not inside {size}")
    for box in sample.boxes:
        if clip_box(box, frame) is None:
            faults.append(f"{where} box {format_boxes([box])} lies outside {size}")
    return faults


def _copies(files: dict[Path, _File]) -> list[list[Path]]:
    """Files of equal content, in sets of two and more."""
    by_digest: dict[str, list[Path]] = {}
    for path, file in files.items():
        by_digest.setdefault(file.digest, []).append(path)
    return [paths for paths in by_digest.values() if len(paths) > 1]


def _copies_across_splits(copies: list[list[Path]], samples: list[Sample]) -> list[str]:
    splits: dict[Path, set[str]] = {}
    for sample in samples:
        splits.setdefault(sample.path, set()).add(sample.split)
    faults = []
    for paths in copies:
        found = sorted(set().union(*(splits[path] for path in paths)) - {""})
        if len(found) > 1:
            faults.append(
                f"{paths[0]}: exact copies are in {' and '.join(found)}: {name_some([str(p) for p in paths[1:]], 3)}; "
                "keep one of them in the manifest, or give all the same split"
            )
    return faults


def _facts(manifest: Manifest, samples: list[Sample], files: dict[Path, _File], copies: list[list[Path]]) -> list[str]:
    infos = [file.info for file in files.values()]
    labels = Counter(manifest.frame["label"].replace("", "unlabelled"))
    sides = [max(x2 - x1, y2 - y1) for x1, y1, x2, y2 in {(s.path, b): b for s in samples for b in s.boxes}.values()]
    facts = [
        f"samples: {len(samples):,} of {manifest.frame['path'].nunique():,} files, {len(files):,} readable",
        f"labels: {_counted(labels)}",
        f"groups: {manifest.frame['group'].nunique():,}{'' if manifest.board_disjoint else ', not board-disjoint'}",
        f"sizes: {_counted(Counter(f'{info.width}x{info.height}' for info in infos))}",
        f"channels: {_counted(Counter(str(info.channels) for info in infos))}",
        f"significant bits: {_counted(Counter(str(file.bits) for file in files.values()))}",
        f"exact copies of another file: {sum(len(paths) - 1 for paths in copies):,}",
    ]
    if REFERENCE in manifest.frame:
        named = manifest.frame[REFERENCE]
        facts.append(f"golden images: {named[named.ne('')].nunique():,}; rows that name none: {named.eq('').sum():,}")
    turned = sum(info.orientation > 1 for info in infos)
    if turned:
        facts.append(f"turned by EXIF orientation: {turned:,}")
    if sides:
        facts.append(f"boxes: {len(sides):,}, median longer side {median(sides):g} px")
    return facts


def _counted(counts: Counter[str], limit: int = 6) -> str:
    more = f", and {len(counts) - limit} more" if len(counts) > limit else ""
    return ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(limit)) + more
