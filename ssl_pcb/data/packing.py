"""Packing: one pass over the source files, with all cores, into a folder that appears when it is whole."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tqdm import tqdm

from ssl_pcb.data.cutting import HASH_BYTES, Cutter, SourceFile, StoreSpec
from ssl_pcb.data.files import FULL, Writer
from ssl_pcb.data.helpers import HelperDied, cut_with_helpers
from ssl_pcb.data.manifest import parse_boxes
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.resolve import MEND
from ssl_pcb.data.sources import Sources
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

VERSION = 2
PIXELS = "pixels.npy"

DECODED_PIXELS = 500_000_000
"""Most pixels held decoded at once while packing: large panels are read by fewer processes."""
ALONE_BELOW = 16_000_000
"""Bytes of source files up to which starting more processes takes longer than they save."""
CHUNK_FILES, CHUNK_BYTES = 64, 8_000_000
"""A process is given so many files at a time, or fewer of so many bytes."""

_EXHAUSTED = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def pack(
    sources: Sources,
    spec: StoreSpec,
    max_pixels: int,
    largest: int,
    folder: Path,
    *,
    skip_bad: bool,
    jpeg: int = 0,
) -> None:
    """Write the store ``folder``: whole, or not at all.

    A part that an earlier process left when it was killed is removed. The caller sees to it that no other
    process packs the same store meanwhile.

    Args:
        sources: The files and samples.
        spec: How samples become pixels.
        max_pixels: Larger images are refused.
        largest: Pixels of the largest image, about.
        folder: Where to; its parent exists.
        skip_bad: Leave unreadable files out.
        jpeg: Quality at which each sample is encoded and decoded again; 0 = it is not.

    Raises:
        UserError: On an unreadable or changing file, a full disk, or a folder that cannot be written.
    """
    needed = len(sources.files) * (spec.sample_bytes + HASH_BYTES + 8) + len(sources.paths) * 24
    log.info("packing %d samples of %d px into the cache (%.0f MB)", len(sources.files), spec.side, needed / 1e6)
    part = part_of(folder)
    began = time.perf_counter()
    try:
        if part.exists():
            log.info("removing what an interrupted packing left")
            shutil.rmtree(part)
        part.mkdir()
        if shutil.disk_usage(part).free < needed * 1.05:
            raise OSError(errno.ENOSPC, "too little free space")
        offset = _allocate(part / PIXELS, len(sources.files), spec)
        _write(sources, Cutter(spec, max_pixels, part / PIXELS, offset, jpeg), largest, part, skip_bad=skip_bad)
        for path in (*part.iterdir(), part):  # or a power cut after the renaming leaves empty pixels
            _sync(path)
        os.replace(part, folder)
        _sync(folder.parent)
    except OSError as error:
        raise UserError(_failure(folder.parent, needed, error)) from None
    except HelperDied:
        raise UserError(
            f"{folder.parent}: a packing process was killed (too little memory?); free some and repeat the command"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    seconds = time.perf_counter() - began
    log.info("packed in %.1f s (%.0f images/s): %s", seconds, len(sources.paths) / seconds, folder)


def part_of(folder: Path) -> Path:
    """Where the store ``folder`` is while it is not whole."""
    return folder.with_name(folder.name.partition("-")[0] + ".part")


def _failure(folder: Path, needed: int, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return (
            f"{folder}: cannot write {needed / 1e6:.0f} MB of packed pixels ({reason}); free some space or set "
            "data.cache to another disk; a set that fits no disk here can be pretrained on from tar shards "
            "('ssl-pcb data shards')"
        )
    if error.errno in _EXHAUSTED:
        mend = "end other programs or raise this one's limits ('ulimit -a'), and repeat the command"
    else:
        mend = "mend that or set data.cache to another folder"
    named = f": {error.filename}" if error.filename else ""
    return f"{folder}: packing failed ({reason}{named}); {mend}"


def _sync(path: Path) -> None:
    """Have the file or folder on the disk, and not in its cache alone."""
    if path.is_dir() and os.name == "nt":
        return
    opened = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def _syncing(file: Path) -> Iterator[None]:
    """Bring what is written to ``file`` onto the disk meanwhile, so that little is left to wait for at the end."""
    ended = Event()

    def sync() -> None:
        while not ended.wait(0.25):
            _sync(file)

    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(sync)
        try:
            yield
        finally:
            ended.set()
        syncing.result()  # the system tells of a failed write once, here or at the end


def _write(sources: Sources, cutter: Cutter, largest: int, part: Path, *, skip_bad: bool) -> None:
    hashes = np.zeros((len(sources.paths), HASH_BYTES), np.uint8)
    sizes = np.zeros((len(sources.paths), 2), np.int32)
    bad: dict[str, str] = {}
    workers = min(cores(), max(1, DECODED_PIXELS // largest))
    if sources.states[:, 0].clip(0).sum() < ALONE_BELOW:
        workers = 1
    chunks = _chunks(sources)
    outcomes = cut_with_helpers(cutter, chunks, workers) if workers > 1 else map(cutter, chunks)
    done = 0
    bar = tqdm(desc="packing", total=len(sources.paths), unit="file", disable=None, leave=False)
    with bar, _syncing(cutter.target):
        for found in outcomes:
            for file, one in enumerate(found, done):
                if one.fault and (one.fatal or not skip_bad):
                    raise UserError(one.fault if one.fatal else f"{one.fault}; {MEND}")
                if one.fault:
                    bad[sources.paths.iloc[file]] = one.fault
            these = slice(done, done := done + len(found))
            hashes[these] = np.frombuffer(b"".join(one.hash for one in found), np.uint8).reshape(-1, HASH_BYTES)
            sizes[these] = [(one.width, one.height) for one in found]
            bar.update(len(found))
    kept = sizes[:, 0] > 0
    if not kept.any():
        raise UserError("none of the manifest's images can be read; see 'ssl-pcb data check'")
    # Rows of files left out stay in the array, unread: packing is one pass and cannot know them beforehand.
    _save(part / "rows.npy", np.flatnonzero(kept[sources.files]))
    _save(part / "hashes.npy", hashes[sources.files])
    _save(part / "sizes.npy", sizes)
    _save(part / "sources.npy", sources.states)
    (part / "index.json").write_text(
        json.dumps({"version": VERSION, "spec": asdict(cutter.spec), "bad": bad}, indent=1)
    )


def _allocate(file: Path, samples: int, spec: StoreSpec) -> int:
    """Make a .npy file that has all its room on the disk; returns where its first sample begins."""
    shape = (samples, spec.side, spec.side, spec.channels)
    offset: int = open_memmap(file, mode="w+", dtype=np.uint8, shape=shape).offset
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)
    return offset


def _save(file: Path, array: NDArray[Any]) -> None:
    with file.open("wb") as opened:
        np.save(Writer(opened), array, allow_pickle=False)


def _chunks(sources: Sources) -> Iterator[list[SourceFile]]:
    chunk: list[SourceFile] = []
    size = 0
    crops = sources.crops.to_numpy(object)
    for path, state, rows in zip(sources.paths, sources.states.tolist(), sources.rows(), strict=True):
        parsed = [parse_boxes(text)[0] if text else None for text in crops[rows]]
        chunk.append(SourceFile(os.path.join(sources.root, path), tuple(state), rows.tolist(), parsed))
        size += state[0]
        if len(chunk) == CHUNK_FILES or size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
