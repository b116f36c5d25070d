"""``ssl-pcb data shards``: the training samples of a manifest into tar files, in one pass and bounded memory."""

from __future__ import annotations

import hashlib
import io
import logging
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.choosing import choose_training_rows
from ssl_pcb.data.cutting import StoreSpec
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.packing import DECODED_PIXELS
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.resolve import describe_scale, margin_pixels, probe_files, resolve
from ssl_pcb.data.shards.encode import (
    Encoded,
    KeptApart,
    Kind,
    Transform,
    ahead,
    attempt,
    encode_file,
)
from ssl_pcb.data.shards.folder import new_folder
from ssl_pcb.data.shards.index import INDEX, TABLE, VERSION, Index, ShardEntry, TableEntry
from ssl_pcb.data.shards.shuffle import shuffled
from ssl_pcb.data.shards.table import Table
from ssl_pcb.data.store import HEADERS
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

MIXED = 100_000
"""Most samples that are shuffled together, beside the bound in bytes."""


@dataclass
class _Source:
    """Where samples come from, and what became of it."""

    manifest: Manifest
    rows: NDArray[np.int64]
    transform: Transform
    threads: int
    skip_bad: bool
    bad: dict[str, str]
    copies: int = 0

    def __post_init__(self) -> None:
        self.sizes = np.zeros((len(self.manifest), 2), np.int32)  # of the source image of each row

    def files(self, rng: np.random.Generator) -> Iterator[list[Encoded]]:
        """Samples file by file, the files in random order."""
        paths = self.manifest.frame["path"].to_numpy()[self.rows]
        by_file: dict[str, list[int]] = {}
        for row, path in zip(self.rows.tolist(), paths, strict=True):
            if path not in self.bad:
                by_file.setdefault(path, []).append(row)
        names = list(by_file)
        todo = [names[place] for place in rng.permutation(len(names))]

        def encode(name: str) -> list[Encoded]:
            samples = [self.manifest.sample(row) for row in by_file[name]]
            return attempt(name, partial(encode_file, samples, name, self.transform), self.skip_bad, self.bad)

        apart = KeptApart(self.manifest)
        encoded = ahead(encode, todo, self.threads)
        bar = tqdm(encoded, "writing shards", len(todo), unit="file", disable=None, leave=False)
        for name, samples in zip(todo, bar, strict=True):
            new = [sample for sample in samples if not apart.holds(sample, name)]
            self.copies += len(samples) - len(new)
            self.sizes[[sample.row for sample in new]] = samples[0].source_size if samples else 0
            yield new


@dataclass
class _Written:
    shards: list[ShardEntry] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def write_shards(
    manifest: Manifest,
    name: str,
    out: Path,
    config: DataConfig,
    *,
    kind: Kind = "png",
    per_shard: int = 1000,
    seed: int = 0,
    use_unsplit: bool = False,
) -> Index:
    """Write the training samples of a manifest into a new folder.

    Args:
        manifest: The samples.
        name: What messages call it.
        out: A folder that is new or empty; it appears when all is written.
        config: Size, channels and the like.
        kind: ``png`` keeps every pixel, ``jpg`` (quality 95) is smaller and changes them.
        per_shard: Samples in a tar file.
        seed: Seed of the samples' order.
        use_unsplit: Also unlabelled samples without a split that are not of validation or test boards.

    Returns:
        What ``index.json`` says.

    Raises:
        UserError: On an unreadable image (unless ``skip_bad``), a training image that is a copy of a
            validation or test image, a folder with something in it, a full disk.
    """
    with new_folder(out) as part:
        rows = choose_training_rows(manifest, name, use_unsplit)
        infos, bad = probe_files(manifest, config, HEADERS)
        config = resolve(config, manifest, infos)
        spec = StoreSpec(
            size=config.image_size,
            margin=margin_pixels(config, manifest),
            channels=int(config.channels),
            bit_depth=int(config.bit_depth),
        )
        threads = min(cores(), max(1, DECODED_PIXELS // max(i.width * i.height for i in infos.values())))
        source = _Source(manifest, rows, Transform(spec, kind, config.max_pixels), threads, config.skip_bad, dict(bad))
        rng = np.random.default_rng([seed, 7])
        samples = shuffled(chain.from_iterable(source.files(rng)), lambda sample: len(sample.image), MIXED, rng)
        written = _write_all(part, samples, per_shard, len(str(len(manifest))), kind)
        index = _write_index(part, name, manifest, spec, written)
    for line in describe_scale(manifest, source.sizes, spec.size):
        log.info(line)
    _say(out, index, kind, source)
    return index


def _write_all(part: Path, samples: Iterator[Encoded], per_shard: int, digits: int, kind: Kind) -> _Written:
    written = _Written()
    for first in samples:
        chunk = chain([first], islice(samples, per_shard - 1))
        _write_shard(part / f"shard-{len(written.shards):06d}.tar", chunk, digits, kind, written)
    return written


def _write_shard(path: Path, samples: Iterable[Encoded], digits: int, kind: Kind, written: _Written) -> None:
    facts = []
    with path.open("wb") as file:
        hashed = _Hashed(file)
        # USTAR: the plainest format, whose headers every reader knows.
        with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.USTAR_FORMAT) as tar:  # type: ignore[call-overload]
            for sample in samples:
                _add(tar, f"{sample.row:0{digits}d}.{kind}", sample.image)
                _add(tar, f"{sample.row:0{digits}d}.json", sample.json)
                facts.append(sample.facts)
    boards = tuple(sorted({fact.group for fact in facts} - {""}))
    written.shards.append(
        ShardEntry(
            name=path.name, samples=len(facts), bytes=hashed.count, sha256=hashed.digest.hexdigest(), boards=boards
        )
    )
    written.tables.append(Table.of(facts))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # with no time and no owner: the same samples make the same bytes
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


class _Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.count = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.count += len(data)
        return self.file.write(data)


def _write_index(part: Path, name: str, manifest: Manifest, spec: StoreSpec, written: _Written) -> Index:
    if not written.tables:
        raise UserError(f"{name}: none of the training samples is left to write")
    table = Table.joined(written.tables)
    data = table.to_parquet()
    (part / TABLE).write_bytes(data)
    index = Index(
        version=VERSION,
        spec=spec,
        unit="tile" if manifest.frame["crop"].ne("").any() else "image",
        board_disjoint=manifest.board_disjoint,
        samples=len(table),
        table=TableEntry(name=TABLE, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()),
        shards=tuple(written.shards),
    )
    (part / INDEX).write_text(index.model_dump_json(indent=1), encoding="utf-8")
    return index


def _say(out: Path, index: Index, kind: Kind, source: _Source) -> None:
    if source.bad:
        first = next(iter(source.bad.values()))
        log.warning("%d unreadable files left out, first: %s", len(source.bad), first)
    if source.copies:
        log.warning("%d samples left out that are copies of images kept apart", source.copies)
    boards = {board for shard in index.shards for board in shard.boards}
    size = sum(shard.bytes for shard in index.shards) / 1e6
    log.info(
        "%s: %d %ss of %d %s in %d shard%s, %d px %s with a ring of %d px, %d channel%s, %.1f MB",
        out, index.samples, index.unit, len(boards),
        "boards" if index.board_disjoint else "groups", len(index.shards), "s" if len(index.shards) > 1 else "",
        index.spec.size, kind, index.spec.margin, index.spec.channels, "s" if index.spec.channels > 1 else "", size,
    )  # fmt: skip
