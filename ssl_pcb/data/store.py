"""Packed pixels: every sample of a manifest at the training resolution, memory-mapped from disk.

A store is a folder: ``pixels.npy`` (N, H, H, C) uint8 with H = size + 2 * margin, ``rows.npy`` the manifest rows
that could be read, ``hashes.npy`` (N, 16) the first bytes of each source file's SHA-256, ``sizes.npy`` (F, 2) width
and height and ``sources.npy`` (F, 2) bytes and time of each source file, and ``index.json``. Its name says what was
packed, from which state of the files, and with which channels and bit depth; one for another state is stale, and
replaced. A file beside it says what ``auto`` came to.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.ranks import is_first
from ssl_pcb.data.cutting import HASH_BYTES, StoreSpec
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.packing import pack, part_of
from ssl_pcb.data.places import Place, only_packer
from ssl_pcb.data.resolve import describe_scale, margin_pixels, probe_files, resolve
from ssl_pcb.data.sources import Sources, describe_changes
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import probe
from ssl_pcb.imaging.encoded import REENCODED

__all__ = ["Store", "StoreSpec", "open_pair", "open_store"]

log = logging.getLogger(__name__)

HEADERS = 256
"""Most files whose headers are read to decide automatic settings."""
HEAD_START = 2.0
"""Seconds that a helper process leaves to the first one before it packs itself."""


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        folder: Where it lies.
        spec: How samples became pixels.
        pixels: (N, H, H, C) uint8, memory-mapped.
        rows: (K,) manifest rows that could be read, ascending.
        hashes: (N,) content hash of each sample's source file, to compare; memory-mapped.
        sizes: (N, 2) width and height of each sample's source image; 0 where it could not be read.
        bad: Message for each file that was left out.
    """

    folder: Path
    spec: StoreSpec
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    hashes: NDArray[np.bytes_]
    sizes: NDArray[np.int32]
    bad: dict[str, str]

    def digests(self, rows: NDArray[np.int64]) -> list[str]:
        """Content hashes at ``rows``, hexadecimal."""
        text = self.hashes[rows].tobytes().hex()
        return [text[start : start + 2 * HASH_BYTES] for start in range(0, len(text), 2 * HASH_BYTES)]


def open_store(manifest: Manifest, config: DataConfig) -> tuple[Store, DataConfig]:
    """Open the store of ``manifest`` at the configured size; pack it first if there is none yet.

    Of several processes that ask at once, one packs and the others wait for it. Says in the log what the size
    does to the samples and their defects.

    Returns:
        The store and ``config`` with its automatic settings decided.

    Raises:
        UserError: On an unreadable image (unless ``skip_bad``), or a full disk.
    """
    store = _open_twice(manifest, config)
    for line in describe_scale(manifest, store.sizes, store.spec.own, store.spec.context):
        log.info(line)
    decided = {"channels": store.spec.channels, "bit_depth": store.spec.bit_depth}
    return store, config.model_copy(update=decided)


def open_pair(manifest: Manifest, config: DataConfig, name: str) -> tuple[Store, Store, DataConfig]:
    """Open the stores of images and of their golden images, of which both hold the same rows.

    Args:
        manifest: The samples.
        config: With ``references`` set.
        name: What messages call the manifest.

    Returns:
        Both stores, and ``config`` with its automatic settings decided by the images.

    Raises:
        UserError: If a row names no golden image or one of another size, and as :func:`open_store`.
    """
    golden = manifest.references(name)
    store, config = open_store(manifest, config)
    references = _open_twice(golden, config)
    rows = np.intersect1d(store.rows, references.rows)
    unequal = rows[(store.sizes[rows] != references.sizes[rows]).any(1)]
    if len(unequal):
        (width, height), (other_width, other_height) = store.sizes[unequal[0]], references.sizes[unequal[0]]
        raise UserError(
            f"{name}: row {unequal[0] + 1}: an image of {width}x{height} px and a golden image of "
            f"{other_width}x{other_height} px cannot be aligned pixel by pixel; name another in column 'reference'"
        )
    return replace(store, rows=rows, bad=store.bad | references.bad), replace(references, rows=rows), config


def _open_twice(manifest: Manifest, config: DataConfig) -> Store:
    try:
        return _open_or_pack(manifest, config)
    except _Replaced:
        return _open_or_pack(manifest, config)


class _Replaced(UserError):
    """The store vanished while it was being opened: another process found it stale."""


def _open_or_pack(manifest: Manifest, config: DataConfig) -> Store:
    sources = Sources.of(manifest)
    place = Place.of(sources, manifest, config)
    folder = place.find(config)
    if folder is None and not is_first():
        folder = _leave_to_the_first(place, config)
    if folder is not None:
        log.info("using the packed pixels in %s", folder)
    else:
        with only_packer(place):
            # Another process may have packed it meanwhile.
            folder = place.find(config) or _replace_stale(manifest, config, sources, place)
    return _open(folder, sources.files)


def _leave_to_the_first(place: Place, config: DataConfig) -> Path | None:
    """Wait until the first process has begun to pack: it says on the terminal what it does, others do not."""
    until = time.monotonic() + HEAD_START
    while (folder := place.find(config)) is None and time.monotonic() < until:
        time.sleep(0.05)
    return folder


def _replace_stale(manifest: Manifest, config: DataConfig, sources: Sources, place: Place) -> Path:
    """Pack; returns the new store."""
    stale = place.stale()
    for found in stale:
        log.info("the packed pixels are stale: %s; packing anew", _difference(found, sources))
    _refuse_absent(sources, config)
    infos, _ = probe_files(manifest, config, HEADERS)
    decided = resolve(config, manifest, infos)
    folder = place.folder(decided)
    if folder.is_dir():  # packed for settings that were given
        log.info("using the packed pixels in %s", folder)
    else:
        spec = StoreSpec(
            size=decided.image_size,
            margin=margin_pixels(decided, manifest),
            channels=int(decided.channels),
            bit_depth=int(decided.bit_depth),
            context=decided.context,
        )
        jpeg = REENCODED if decided.references else 0
        largest = max(info.width * info.height for info in infos.values())
        pack(sources, spec, decided.max_pixels, largest, folder, skip_bad=decided.skip_bad, jpeg=jpeg)
    place.remember(config, decided)
    for found in stale:
        _remove(found)
    return folder


def _remove(stale: Path) -> None:
    # Gone at once and not file by file: who is opening it sees that it was replaced, and not damage.
    with suppress(OSError):
        aside = part_of(stale)
        os.replace(stale, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _difference(stale: Path, sources: Sources) -> str:
    try:
        then = np.load(stale / "sources.npy", allow_pickle=False)
        return describe_changes(sources, then.reshape(sources.states.shape))
    except (OSError, ValueError):
        return "their record is damaged"


def _refuse_absent(sources: Sources, config: DataConfig) -> None:
    absent = sources.absent()
    if config.skip_bad or not len(absent):
        return
    more = f" (and {len(absent) - 1:,} more)" if len(absent) > 1 else ""
    mend = "put it back, take its rows out of the manifest, or go on without it with --skip-bad"
    try:
        probe(Path(sources.absolute(int(absent[0]))))
    except UserError as error:
        raise UserError(f"{error}{more}; {mend}") from None


def _open(folder: Path, files: NDArray[np.intp]) -> Store:
    """The store; ``files`` (N,) names the source image of each row."""
    try:
        index = json.loads((folder / "index.json").read_text())
        arrays: dict[str, NDArray[Any]] = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("pixels", "rows", "hashes", "sizes")
        }
        spec = StoreSpec(**index["spec"])
        hashes = arrays["hashes"].view(f"S{HASH_BYTES}")[:, 0]
        sizes = np.array(arrays["sizes"])[files]
        return Store(folder, spec, arrays["pixels"], np.array(arrays["rows"]), hashes, sizes, index["bad"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        if not folder.is_dir():
            raise _Replaced(f"{folder}: vanished while it was being opened; repeat the command") from None
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder}: damaged packed pixels ({reason}); delete that folder and repeat") from None
