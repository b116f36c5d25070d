"""Packed pixels: every sample of a manifest at the training resolution, memory-mapped from disk.

A store is a folder: ``pixels.npy`` (N, H, H, C) uint8 with H = size + 2 * margin, ``rows.npy`` (N,) the manifest
row of each, ``hashes.npy`` (N, 16) the first bytes of each source file's SHA-256, and ``index.json``. It is
written beside its final name and renamed when whole, so a store that exists is complete.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tqdm import tqdm

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.manifest import Manifest, Sample, format_boxes
from ssl_pcb.data.resolve import MEND, describe_scale, margin_pixels, probe_files, resolve
from ssl_pcb.errors import BitDepthError, UserError
from ssl_pcb.imaging.decode import decode
from ssl_pcb.imaging.resize import cut
from ssl_pcb.imaging.tiling import clip_box

log = logging.getLogger(__name__)

VERSION = 1

DECODED_PIXELS = 500_000_000
"""Most pixels held decoded at once while packing: large panels are read by fewer threads."""


@dataclass(frozen=True)
class StoreSpec:
    """How samples became pixels.

    Attributes:
        size: Side of a sample in pixels.
        margin: Width of the ring of surroundings in pixels.
        channels: 1 or 3.
        bit_depth: Significant bits of 16-bit sources.
    """

    size: int
    margin: int
    channels: int
    bit_depth: int


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        folder: Where it lies.
        spec: How samples became pixels.
        pixels: (N, H, H, C) uint8, memory-mapped.
        rows: (N,) manifest rows, ascending.
        hashes: (N,) hexadecimal content hash of each sample's source file.
        bad: Message for each file that was left out.
    """

    folder: Path
    spec: StoreSpec
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    hashes: NDArray[np.str_]
    bad: dict[str, str]


def open_store(manifest: Manifest, config: DataConfig) -> tuple[Store, DataConfig]:
    """Open the store of ``manifest`` at the configured size; pack it first if there is none yet.

    Says in the log what the size does to the samples and their defects.

    Returns:
        The store and ``config`` with its automatic settings decided.

    Raises:
        UserError: On an unreadable image (unless ``skip_bad``), or a full disk.
    """
    infos, bad = probe_files(manifest, config)
    config = resolve(config, manifest, infos)
    spec = StoreSpec(
        size=config.image_size,
        margin=margin_pixels(config, manifest),
        channels=int(config.channels),
        bit_depth=int(config.bit_depth),
    )
    root = (config.cache or cache_dir()) / "stores"
    folder = root / _key(manifest, spec, config.max_pixels if config.skip_bad else None)
    if not folder.is_dir():
        _pack(manifest, config, spec, bad, folder, max(i.width * i.height for i in infos.values()))
    for line in describe_scale(manifest, infos, spec.size):
        log.info(line)
    return _open(folder), config


def _key(manifest: Manifest, spec: StoreSpec, left_out_above: int | None) -> str:
    """Identity of a store: transform, samples, and the size and time of every source file."""
    digest = hashlib.sha256(json.dumps([VERSION, asdict(spec), left_out_above]).encode())
    stats = {path: _stat(manifest.root / path) for path in manifest.frame["path"].unique()}
    for path, crop in zip(manifest.frame["path"], manifest.frame["crop"], strict=True):
        digest.update(json.dumps([str(manifest.root / path), stats[path], crop]).encode())
    return digest.hexdigest()[:24]


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


def _pack(
    manifest: Manifest, config: DataConfig, spec: StoreSpec, bad: dict[str, str], folder: Path, largest: int
) -> None:
    side = spec.size + 2 * spec.margin
    needed = len(manifest) * side * side * spec.channels
    log.info("packing %d samples of %d px into the cache (%.0f MB)", len(manifest), side, needed / 1e6)
    part = folder.with_name(f"{folder.name}.part{os.getpid()}")
    try:
        part.mkdir(parents=True)
        if shutil.disk_usage(part).free < needed * 1.05:
            raise OSError("too little free space")
        _write(manifest, config, spec, dict(bad), part, largest)
        os.replace(part, folder)
    except OSError as error:
        if not folder.is_dir():  # else another process packed the same store meanwhile, which is as good
            raise UserError(
                f"{folder.parent}: cannot write {needed / 1e6:.0f} MB of packed pixels ({error}); "
                "free some space or set data.cache to another disk"
            ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(
    manifest: Manifest, config: DataConfig, spec: StoreSpec, bad: dict[str, str], part: Path, largest: int
) -> None:
    side = spec.size + 2 * spec.margin
    shape = (len(manifest), side, side, spec.channels)
    pixels = open_memmap(part / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):  # a disk that fills up under a mapping kills the process without a word
        with (part / "pixels.npy").open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    hashes = np.zeros((len(manifest), 16), np.uint8)
    kept = np.ones(len(manifest), bool)
    by_file: dict[str, list[int]] = {}
    for row, path in enumerate(manifest.frame["path"]):
        by_file.setdefault(path, []).append(row)

    def fill(path: str) -> None:
        samples = [manifest.sample(row) for row in by_file[path]]
        try:
            hashes[by_file[path]] = _cut_file(samples, config, spec, pixels)
        except BitDepthError:
            raise
        except UserError as error:
            if not config.skip_bad:
                raise UserError(f"{error}; {MEND}") from None
            bad[path] = str(error)

    # Pillow decodes outside the interpreter lock, so threads use every core and write disjoint rows.
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, max(1, DECODED_PIXELS // largest)))
    try:
        todo = [path for path in by_file if path not in bad]
        for _ in tqdm(pool.map(fill, todo), "packing", len(todo), unit="file", disable=None, leave=False):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    for path in bad:
        kept[by_file[path]] = False
    pixels.flush()
    np.save(part / "rows.npy", np.flatnonzero(kept))
    np.save(part / "hashes.npy", hashes)
    (part / "index.json").write_text(json.dumps({"version": VERSION, "spec": asdict(spec), "bad": bad}, indent=1))


def _cut_file(
    samples: list[Sample], config: DataConfig, spec: StoreSpec, pixels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Write all samples of one file into ``pixels``; returns the file's content hash (16,)."""
    path = samples[0].path
    image = decode(path, channels=spec.channels, bit_depth=spec.bit_depth, max_pixels=config.max_pixels)
    height, width = image.shape[:2]
    for sample in samples:
        if sample.crop and clip_box(sample.crop, (0, 0, width, height)) != sample.crop:
            raise UserError(
                f"{path}: row {sample.index + 1} crops {format_boxes([sample.crop])} of {width}x{height} px"
            )
        pixels[sample.index] = cut(image, sample.crop, spec.size, spec.margin)
    return np.frombuffer(hashlib.sha256(path.read_bytes()).digest()[:16], np.uint8)


def _open(folder: Path) -> Store:
    index = json.loads((folder / "index.json").read_text())
    rows = np.load(folder / "rows.npy", allow_pickle=False)
    # Rows of files left out stay in the array, unread: packing is one pass and cannot know them beforehand.
    return Store(
        folder=folder,
        spec=StoreSpec(**index["spec"]),
        pixels=np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False),
        rows=rows,
        hashes=np.array([row.tobytes().hex() for row in np.load(folder / "hashes.npy", allow_pickle=False)]),
        bad=index["bad"],
    )
