"""Golden images for a manifest that names none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ssl_pcb.data.files import whole_folder
from ssl_pcb.data.golden.consensus import Consensus, consensus
from ssl_pcb.data.golden.repeats import Pool
from ssl_pcb.data.manifest import REFERENCE, Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import MAX_PIXELS, with_channels

KEPT_APART = ("val", "test", "holdout")
"""Splits that no library may show to the others, whatever it says of their images."""


@dataclass(frozen=True)
class Found:
    """What came of a search.

    Attributes:
        manifest: File of the manifest that names the golden images.
        repeated: By board, the share of its images' blocks that are repeated.
        lacking: Images for which there is none.
        images: All.
    """

    manifest: Path
    repeated: dict[str, float]
    lacking: int
    images: int

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"manifest: {self.manifest}"
        yield f"golden images for {self.images - self.lacking:,} of {self.images:,} images"
        yield "share of their blocks that is repeated elsewhere, by board:"
        for board, share in sorted(self.repeated.items(), key=lambda each: each[1]):
            yield f"  {board or '(no board)'}: {share:.0%}"
        yield (
            "where a pattern is repeated nowhere the golden image shows the most alike one, which is no witness: learn "
            "with 'ssl-pcb pretrain --references', which tells the two apart"
        )


def find_golden(
    manifest: Manifest,
    out: Path,
    *,
    library: Manifest | None = None,
    block: int = 128,
    most: int = 300,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[], object] | None = None,
) -> Found:
    """Put together a golden image for each image of ``manifest`` from others that show the same pattern.

    Writes ``images/<number>.png`` and ``manifest.csv``, whose column ``reference`` names them. No label is used.

    Args:
        manifest: Images, and their boards.
        out: Folder to make; it must not exist or must be empty.
        library: Whose training images (all, where it has no split) are searched besides those of the image's own board;
            validation and test images never are, but on their own board, and images that are kept apart by none.
        block: Side of the blocks that are searched for, in pixels.
        most: Images in which a pattern is searched, besides its own; drawn at random where there are more.
        seed: Of the draw.
        max_pixels: Refuse larger images.
        progress: Called after each image.

    Raises:
        UserError: On an image that cannot be read, values out of range, or if ``out`` has something in it or cannot be
            written.
    """
    for name, value, least in (("--block", block, 16), ("--most", most, 1)):
        if value < least:
            raise UserError(f"{name} {value}: must be at least {least}")
    frame = manifest.frame
    images = frame.drop_duplicates("path")[["path", "group", "split"]].reset_index(drop=True)
    paths, boards = images["path"].astype(str).tolist(), images["group"].astype(str).tolist()
    kept_apart = {(manifest.root / path).resolve() for path in frame["path"][frame["split"].isin(KEPT_APART)]}
    besides = [file for file in _teaching(library) if file.resolve() not in kept_apart] if library is not None else []
    if not paths or (library is not None and not besides):
        lacking = "the manifest names no image" if not paths else "the library has no training image"
        raise UserError(f"{lacking}; see 'ssl-pcb data split', or name another")
    named: dict[str, str] = {}
    counted: dict[str, list[Consensus]] = {}
    with whole_folder(out) as part:
        (part / "images").mkdir()
        for own in _boards(images):
            files = [manifest.root / paths[row] for row in own]
            shown = [number for number, row in enumerate(own) if images["split"].iat[row] != "holdout"]
            some = _drawn(len(shown) + len(besides), most, [seed, own[0]])
            further = [besides[each - len(shown)] for each in some if each >= len(shown)]
            searched = [shown[each] for each in some if each < len(shown)] + [len(own) + n for n in range(len(further))]
            pool = Pool([*files, *further], block, searched, max_pixels)
            for number, row in enumerate(own):
                found = consensus(pool, number)
                counted.setdefault(boards[row], []).append(found)
                if found.picture is not None:
                    named[paths[row]] = f"images/{row:06d}.png"
                    with_channels(found.picture, found.picture.shape[2]).save(part / named[paths[row]])
                if progress:
                    progress()
        golden = [str(part.resolve() / named[path]) if path in named else "" for path in frame["path"]]
        Manifest(frame.assign(**{REFERENCE: golden}), manifest.root).write(part / "manifest.csv")
    repeated = {
        board: sum(each.repeated for each in found) / sum(each.blocks for each in found)
        for board, found in counted.items()
    }
    return Found(out / "manifest.csv", repeated, len(images) - len(named), len(images))


def _boards(images: pd.DataFrame) -> Iterator[list[int]]:
    """Rows of the images of each board."""
    # Images of no known board may be of any, but never of another split.
    keys = images["group"].where(images["group"].ne(""), "\n" + images["split"].replace("holdout", "train"))
    for _, part in images.groupby(keys, sort=True):
        yield part.index.tolist()


def _drawn(count: int, most: int, seed: list[int]) -> list[int]:
    """At most so many of the numbers below ``count``, in their order."""
    found: list[int] = np.random.default_rng(seed).choice(count, min(most, count), replace=False).tolist()
    return sorted(found)


def _teaching(library: Manifest) -> list[Path]:
    """Files of its training images; of all, where it is not split."""
    frame = library.frame
    chosen = frame["split"].eq("train") if frame["split"].ne("").any() else frame["split"].eq("")
    return [library.root / path for path in frame["path"][chosen].drop_duplicates()]
