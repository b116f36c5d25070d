"""From other people's data sets to a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl_pcb.data.importers import coco, deeppcb, folder, table, voc, yolo
from ssl_pcb.data.importers.common import ImportOptions, Listing, SourceImage, group_by_path, name_some
from ssl_pcb.data.importers.rows import ImageRows, Row, describe_box, make_rows
from ssl_pcb.data.importers.summary import ImportSummary
from ssl_pcb.data.kinds import KINDS
from ssl_pcb.data.manifest import PSEUDO_GROUP, Manifest
from ssl_pcb.data.near_duplicates import cluster_images
from ssl_pcb.data.parallel import map_files
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import ImageInfo, probe, significant_bits

__all__ = ["KINDS", "ImportOptions", "ImportSummary", "import_dataset"]


def import_dataset(kind: str, src: Path, out: Path, options: ImportOptions) -> ImportSummary:
    """Read a data set and write its manifest, whole or not at all.

    Args:
        kind: One of :data:`KINDS`.
        src: A folder; for ``table`` the CSV file, for ``coco`` the JSON file.
        out: The manifest to write, ``.csv`` or ``.parquet``.
        options: Choices of the import.

    Returns:
        What was found, kept and dropped.

    Raises:
        UserError: On a missing or malformed source, an unknown label, an existing ``out`` (unless
            ``overwrite``), or an unreadable image (unless ``skip_bad``).
    """
    if out.suffix not in (".csv", ".parquet"):
        raise UserError(f"{out}: a manifest is written as .csv or .parquet")
    if out.exists() and not options.overwrite:
        raise UserError(f"{out}: exists already; --overwrite replaces it")
    if kind == "deeppcb":
        own: dict[str, Any] = {"tile": 128, "blank_std": 20.0}
        options = replace(options, **{key: value for key, value in own.items() if getattr(options, key) is None})
    listing = _read(kind, Path(src).resolve(), options)
    summary = ImportSummary(kind, out, rules=options.tile_rules(), notes=listing.notes)
    images, depth = _keep_readable(listing.images, options, summary)
    images = _with_groups(replace(listing, images=images), options, summary, depth)
    rows = _collect(images, options, summary, depth)
    if not rows:
        raise UserError(f"{src}: nothing left to write: every tile was dropped; see --blank-std and --tile")
    mend = f"leave the column 'split' out of {src}, import it again and run 'ssl-pcb data split'"
    manifest = Manifest.build(rows, out.parent, source=str(src), split_mend=mend)
    manifest.write(out)
    summary.count(manifest)
    summary.write()
    return summary


def _read(kind: str, src: Path, options: ImportOptions) -> Listing:
    match kind:
        case "deeppcb":
            return deeppcb.read(src, options)
        case "folder":
            return folder.read(src, options)
        case "table":
            return table.read(src, options)
        case "coco":
            return coco.read(src, options)
        case "voc":
            return voc.read(src, options)
        case "yolo":
            return yolo.read(src, options)
    raise UserError(f"importer '{kind}' is not one of {', '.join(KINDS)}")


def _keep_readable(
    images: list[SourceImage], options: ImportOptions, summary: ImportSummary
) -> tuple[list[SourceImage], int | None]:
    """The images whose headers can be read, and the significant bits of those over 8 bits."""
    results = list(map_files(lambda image: _probe(image.path, options.max_pixels), images))
    summary.bad = [str(result) for result in results if isinstance(result, UserError)]
    _stop_at_bad(summary.bad, options)
    pairs = zip(images, results, strict=True)
    kept = [(image, info) for image, info in pairs if not isinstance(info, UserError)]
    if not kept:
        raise UserError(f"none of {len(images)} images can be read; the first: {summary.bad[0]}")
    depth = _bit_depth([image for image, info in kept if info.bits == 16], options, summary)
    return [image for image, _ in kept], depth


def _probe(path: Path, max_pixels: int) -> ImageInfo:
    try:
        str(path).encode()
    except UnicodeEncodeError:  # a manifest could not hold it
        raise UserError(f"{path}: the file's name is not UTF-8 text; rename it") from None
    return probe(path, max_pixels)


def _stop_at_bad(bad: list[str], options: ImportOptions) -> None:
    if bad and not options.skip_bad:
        more = f" (and {len(bad) - 1} more: {name_some([m.split(': ')[0] for m in bad[1:]])})" if bad[1:] else ""
        raise UserError(f"{bad[0]}{more}; --skip-bad leaves such images out")


def _bit_depth(deep: list[SourceImage], options: ImportOptions, summary: ImportSummary) -> int | None:
    """One depth for all images over 8 bits, so that grey levels stay comparable."""
    found = map_files(lambda image: significant_bits(image.path, options.max_pixels), deep)
    depth = max((bits for bits in found if not isinstance(bits, UserError)), default=None)
    if depth:
        summary.notes.append(f"{len(deep):,} images of 16 bits hold values of {depth} bits")
    return depth


def _with_groups(
    listing: Listing, options: ImportOptions, summary: ImportSummary, depth: int | None
) -> list[SourceImage]:
    """Give each image its board: by the user's rule, else the importer's own, else near-duplicate clusters."""
    images, choice = listing.images, options.group_from
    if choice == "none" or (choice is None and not any(image.group for image in images)):
        return _with_clusters(images, options, summary, depth)
    if choice is None or listing.grouped:
        nameless = next((image for image in images if not image.group), None)
        if nameless:
            raise UserError(f"{nameless.path}: has no group while others have; fill it in or use --group-from none")
        return images
    groups = group_by_path(listing, choice)
    return [replace(image, group=group) for image, group in zip(images, groups, strict=True)]


def _with_clusters(
    images: list[SourceImage], options: ImportOptions, summary: ImportSummary, depth: int | None
) -> list[SourceImage]:
    results = cluster_images([image.path for image in images], depth, options.max_pixels)
    bad = [str(result) for result in results if isinstance(result, UserError)]
    summary.bad += bad
    _stop_at_bad(bad, options)
    return [
        replace(image, group=f"{PSEUDO_GROUP}{found}")
        for image, found in zip(images, results, strict=True)
        if not isinstance(found, UserError)
    ]


def _collect(images: list[SourceImage], options: ImportOptions, summary: ImportSummary, depth: int | None) -> list[Row]:
    rows: list[Row] = []
    bad, outside, dropped = [], [], []
    for image, result in zip(images, _results(images, options, depth), strict=True):
        if isinstance(result, UserError):
            bad.append(str(result))
            continue
        rows += result.rows
        dropped += [] if result.rows else [image.path.name]
        outside += [describe_box(image.path, box) for box in result.outside]
        summary.boxes += len(result.boxes)
        summary.dropped += result.tiles.dropped
        for index in result.tiles.unreached:
            name = result.types[index] if result.types else ""
            summary.unreached.append(describe_box(image.path, result.boxes[index], name))
    summary.bad += bad
    _stop_at_bad(bad, options)
    if dropped:
        summary.notes.append(f"{len(dropped)} images keep no tile and are not in the manifest: {name_some(dropped)}")
    if outside:
        summary.notes.append(f"{len(outside)} boxes lie outside their image: {name_some(outside)}")
    return rows


def _results(images: list[SourceImage], options: ImportOptions, depth: int | None) -> Iterator[ImageRows | UserError]:
    return map_files(lambda image: make_rows(image, options, depth), images)
