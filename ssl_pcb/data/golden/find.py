"""Golden images put together for a manifest, from repeats of what its images show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.files import whole_folder
from ssl_pcb.data.golden.consensus import MAJORITY, Consensus, consensus
from ssl_pcb.data.golden.pool import Pool
from ssl_pcb.data.manifest import PSEUDO_GROUP, REFERENCE, Manifest
from ssl_pcb.data.parallel import map_files
from ssl_pcb.data.resolve import resolve
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import MAX_PIXELS, probe, with_channels

KEPT_APART = ("val", "test", "holdout")
"""Splits that no library may show to the others, whatever it says of their images."""

NAMED = 3
"""Images that a line names at most."""

TABLE = "golden.csv"
MEND = "images show one board ('data import --group-from'), or name more of them with --library"


@dataclass(frozen=True)
class Found:
    """What came of a search.

    Attributes:
        manifest: File of the manifest that names the golden images.
        table: Columns path, group, split, golden (its file in the folder), blocks and repeated, a row an image.
        lacking: Images that are repeated nowhere at all and therefore not in the manifest.
        replaced: Rows that named another golden image.
        bit_depth: Of files with more than 8 bits, as they were read.
    """

    manifest: Path
    table: pd.DataFrame
    lacking: list[str]
    replaced: int
    bit_depth: int

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"manifest: {self.manifest}"
        images = len(self.table) + len(self.lacking)
        yield f"golden images for {len(self.table):,} of {images:,} images (each in {self.manifest.parent / TABLE})"
        if self.lacking:
            more = ", ..." if len(self.lacking) > NAMED else ""
            yield (
                f"left out of the manifest, for nothing is repeated: {', '.join(self.lacking[:NAMED])}{more}; "
                f"say which {MEND}"
            )
        if self.replaced:
            yield f"{self.replaced:,} rows named another golden image, which these replace"
        if self.table["split"].eq("").all():
            yield "not split yet: split first, so that no golden image shows what is to be kept apart"
        yield f"share of the blocks that {MAJORITY} other places repeat, by board:"
        for board, part in self.table.groupby("group"):
            yield f"  {str(board) or '(no board)'}: {part['repeated'].sum() / part['blocks'].sum():.0%}"
        if self.table["repeated"].sum() < self.table["blocks"].sum():
            yield (
                "elsewhere the golden image shows what is most alike, which may have a defect of its own or another "
                "pattern: learn what to make of it with 'ssl-pcb pretrain --references'"
            )


def find_golden(
    manifest: Manifest,
    out: Path,
    *,
    library: Manifest | None = None,
    block: int | None = None,
    most: int = 300,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[], object] | None = None,
) -> Found:
    """Put together a golden image for each image of ``manifest`` from others that show the same pattern.

    Writes ``images/<number>.png``, ``golden.csv`` (how much of each is repeated) and ``manifest.csv``, whose column
    ``reference`` names them. No label is used.

    Args:
        manifest: Images, and their boards.
        out: Folder to make; it must not exist or must be empty.
        library: Whose training images (all, where it has no split) are searched besides those of the image's own board;
            validation and test images never are, but on their own board, and images that are kept apart by none.
        block: Side of the blocks that are put together, in pixels; at most a sixth of the images' shorter side, and a
            tenth of it unless given.
        most: Images in which a pattern is searched, besides its own: of its board, then of the library; drawn at random
            where there are more.
        seed: Of the draw.
        max_pixels: Refuse larger images.
        progress: Called after each image.

    Raises:
        UserError: On an image that cannot be read, values out of range, if nothing is repeated, or if ``out`` has
            something in it or cannot be written.
    """
    for name, value, least in (("--block", block, 16), ("--most", most, 1)):
        if value is not None and value < least:
            raise UserError(f"{name} {value}: must be at least {least}")
    frame = manifest.frame
    images = frame.drop_duplicates("path")[["path", "group", "split"]].reset_index(drop=True)
    if not len(images):
        raise UserError("the manifest names no image; name another")
    depth = _bit_depth(manifest, max_pixels)
    besides = _teaching(library, manifest) if library is not None else []
    made: dict[int, Consensus] = {}
    with whole_folder(out) as part:
        (part / "images").mkdir()
        for own in _boards(images):
            files, searched = _pool(images.loc[own], manifest.root, besides, most, [seed, own[0]])
            pool = Pool(files, block, searched, bit_depth=depth, max_pixels=max_pixels)
            for number, found in enumerate(_searches(pool, len(own), progress)):
                if found.picture is not None:
                    with_channels(found.picture, pool.channels[number]).save(part / _name(own[number]))
                    made[own[number]] = found._replace(picture=None)
        if not made:
            raise UserError(f"nothing that an image shows is repeated on another of its board; say which {MEND}")
        table = images.loc[sorted(made)]
        table = table.assign(golden=[_name(row) for row in table.index],
                             blocks=[made[row].blocks for row in table.index],
                             repeated=[made[row].repeated for row in table.index])  # fmt: skip
        table.to_csv(part / TABLE, index=False, lineterminator="\n")
        golden = {images["path"].iat[row]: str(part.resolve() / _name(row)) for row in made}
        replaced = int(frame[REFERENCE].ne("").sum()) if REFERENCE in frame else 0
        named = Manifest(frame.assign(**{REFERENCE: frame["path"].map(golden)}), manifest.root)
        named.select(named.frame[REFERENCE].notna()).write(part / "manifest.csv")
    lacking = images["path"].drop(list(made)).tolist()
    return Found(out / "manifest.csv", table, lacking, replaced, depth)


def _searches(pool: Pool, images: int, progress: Callable[[], object] | None) -> Iterator[Consensus]:
    """The golden image of each of the first ``images`` of ``pool``, some at a time."""

    def alone(image: int) -> Consensus:
        torch.set_num_threads(1)  # of this thread: several that each take all cores are in each other's way
        return consensus(pool, image)

    threads = torch.get_num_threads()
    try:
        for found in map_files(alone, range(images), progress):
            if isinstance(found, UserError):
                raise found
            yield found
    finally:
        torch.set_num_threads(threads)


def _name(row: int) -> str:
    return f"images/{row:06d}.png"


def _bit_depth(manifest: Manifest, max_pixels: int) -> int:
    """As training will resolve it, so that golden images are as bright as their images."""
    infos = {path: probe(manifest.root / path, max_pixels) for path in manifest.frame["path"].unique()}
    found = resolve(DataConfig(channels=1, max_pixels=max_pixels), manifest, infos).bit_depth
    assert found != "auto"
    return found


def _pool(
    own: pd.DataFrame, root: Path, besides: list[Path], most: int, seed: list[int]
) -> tuple[list[Path], list[int]]:
    """Files of a board's images and of those of the library that are searched too; numbers of all that are searched."""
    shown = np.flatnonzero(own["split"].ne("holdout")).tolist()
    chosen = [shown[each] for each in _drawn(len(shown), most, seed)]
    further = [besides[each] for each in _drawn(len(besides), most - len(chosen), seed)]
    files = [*(root / path for path in own["path"]), *further]
    return files, [*chosen, *range(len(own), len(files))]


def _drawn(count: int, most: int, seed: list[int]) -> list[int]:
    """At most so many of the numbers below ``count``, in their order."""
    found: list[int] = np.random.default_rng(seed).choice(count, min(most, count), replace=False).tolist()
    return sorted(found)


def _boards(images: pd.DataFrame) -> Iterator[list[int]]:
    """Rows of the images of each board."""
    unknown = images["group"].eq("") | images["group"].str.startswith(PSEUDO_GROUP)
    # Images of no known board may be of any, but never of another split.
    keys = images["group"].mask(unknown, "\n" + images["split"].replace("holdout", "train"))
    for _, part in images.groupby(keys, sort=True):
        yield part.index.tolist()


def _teaching(library: Manifest, manifest: Manifest) -> list[Path]:
    """Files of the library's training images, but for what the manifest keeps apart, under whatever name.

    Raises:
        UserError: If there are none.
    """
    kept_apart = {_content(manifest.root / path) for path in _paths(manifest, manifest.frame["split"].isin(KEPT_APART))}
    splits = library.frame["split"]
    listed = _paths(library, splits.eq("train") if splits.ne("").any() else splits.eq(""))
    found = [library.root / path for path in listed if _content(library.root / path) not in kept_apart]
    if not found:
        raise UserError("the library has no training image; see 'ssl-pcb data split', or name another")
    return found


def _paths(manifest: Manifest, rows: pd.Series[bool]) -> list[str]:
    return manifest.frame["path"][rows].drop_duplicates().tolist()


def _content(file: Path) -> str:
    """What tells a file's content from any other.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from None
