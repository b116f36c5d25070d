"""Packed pixels: every sample of a manifest at the training resolution, memory-mapped from disk.

A store is a folder: ``pixels.npy`` (N, H, H, C) uint8 with H = size + 2 * margin, ``rows.npy`` the manifest rows
that could be read, ``hashes.npy`` (N, 16) the first bytes of each source file's SHA-256, ``sizes.npy`` (F, 2) width
and height and ``sources.npy`` (F, 2) bytes and time of each source file, and ``index.json``. Its name says what was
packed and from which state of the files; one for another state is stale, and replaced.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.cutting import HASH_BYTES, StoreSpec
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.packing import VERSION, pack
from ssl_pcb.data.resolve import describe_scale, margin_pixels, probe_files, resolve
from ssl_pcb.data.sources import Sources, describe_changes
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import probe

__all__ = ["Store", "StoreSpec", "open_store"]

log = logging.getLogger(__name__)

HEADERS = 256
"""Most files whose headers are read to decide automatic settings."""


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        folder: Where it lies.
        spec: How samples became pixels.
        pixels: (N, H, H, C) uint8, memory-mapped.
        rows: (K,) manifest rows that could be read, ascending.
        hashes: (N,) content hash of each sample's source file, to compare; memory-mapped.
        bad: Message for each file that was left out.
    """

    folder: Path
    spec: StoreSpec
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    hashes: NDArray[np.bytes_]
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
    sources = Sources.of(manifest)
    root = (config.cache or cache_dir()) / "stores"
    left_out_above = config.max_pixels if config.skip_bad else None
    margin = margin_pixels(config, manifest)
    asked = [VERSION, config.image_size, margin, config.channels, config.bit_depth, left_out_above]
    identity = sources.identity(asked)
    folder = root / f"{identity}-{sources.fingerprint()}"
    if folder.is_dir():
        log.info("using the packed pixels in %s", folder)
    else:
        with _alone(root, identity):
            if not folder.is_dir():  # else another process has packed it meanwhile
                _replace_stale(manifest, config, sources, folder)
    store, sizes = _open(folder)
    for line in describe_scale(manifest, sizes[sources.files], store.spec.size):
        log.info(line)
    return store, config.model_copy(update={"channels": store.spec.channels, "bit_depth": store.spec.bit_depth})


@contextmanager
def _alone(root: Path, identity: str) -> Iterator[None]:
    """As the only process that packs ``identity``; a lock ends with the process that holds it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / f"{identity}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another process is packing these samples: waiting for it")
            lock.acquire()
    except OSError as error:
        raise UserError(f"{root}: cannot be written ({error.strerror or error}); set data.cache") from None
    try:
        yield
    finally:
        lock.release()


def _replace_stale(manifest: Manifest, config: DataConfig, sources: Sources, folder: Path) -> None:
    stale = [found for found in folder.parent.glob(f"{folder.name.partition('-')[0]}-*") if found.is_dir()]
    for found in stale:
        log.info("the packed pixels are stale: %s; packing anew", _difference(found, sources))
    _refuse_absent(sources, config)
    infos, _ = probe_files(manifest, config, HEADERS)
    config = resolve(config, manifest, infos)
    spec = StoreSpec(
        size=config.image_size,
        margin=margin_pixels(config, manifest),
        channels=int(config.channels),
        bit_depth=int(config.bit_depth),
    )
    largest = max(info.width * info.height for info in infos.values())
    pack(sources, spec, config.max_pixels, largest, folder, skip_bad=config.skip_bad)
    for found in stale:
        shutil.rmtree(found, ignore_errors=True)


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
    mend = "put it back, take its rows out of the manifest, or go on without with --skip-bad"
    try:
        probe(Path(sources.absolute(int(absent[0]))))
    except UserError as error:
        raise UserError(f"{error}{more}; {mend}") from None


def _open(folder: Path) -> tuple[Store, NDArray[np.int32]]:
    """The store and the (F, 2) widths and heights of its source images."""
    try:
        index = json.loads((folder / "index.json").read_text())
        arrays: dict[str, NDArray[Any]] = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("pixels", "rows", "hashes", "sizes")
        }
        spec = StoreSpec(**index["spec"])
        hashes = arrays["hashes"].view(f"S{HASH_BYTES}")[:, 0]
        store = Store(folder, spec, arrays["pixels"], np.array(arrays["rows"]), hashes, index["bad"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder}: damaged packed pixels ({reason}); delete that folder and repeat") from None
    return store, np.array(arrays["sizes"])
