"""What is in a set of shards: read from its index, or by one pass over all of them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ssl_pcb.data.cutting import HASH_BYTES
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.shards.facts import UNKNOWN, Facts, parse_facts
from ssl_pcb.data.shards.index import Index
from ssl_pcb.data.shards.listing import Listing, beside
from ssl_pcb.data.shards.opening import is_remote, opened_shard, read_whole
from ssl_pcb.data.shards.table import Table
from ssl_pcb.data.shards.tar import TRUNCATED, Raw, read_samples
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

READERS = 4
"""Shards counted at a time."""
AT_ONCE = 4096
"""Samples of a shard whose facts are kept as objects."""
MAX_TABLE = 4 << 30


@dataclass(frozen=True)
class Survey:
    """A set of shards, counted.

    Attributes:
        shards: Local paths or https addresses.
        sizes: Bytes that each must have; ``None`` where nobody says.
        starts: (shards + 1,) number of the first sample of each shard, and of all samples.
        table: What is known of each sample.
        size: Side without the ring in pixels; 0 = any, these images were not made by this package.
        margin: Width of the ring in pixels.
        channels: 1 or 3 as the index says; 0 = unknown.
        bit_depth: Significant bits of the source images as the index says; 0 = unknown.
        unit: What one sample is, ``tile`` or ``image``.
        board_disjoint: Whether all groups are real boards.
        digest: Hash of the shards' contents.
    """

    shards: tuple[str, ...]
    sizes: tuple[int | None, ...]
    starts: NDArray[np.int64]
    table: Table
    size: int
    margin: int
    channels: int
    bit_depth: int
    unit: str
    board_disjoint: bool
    digest: str


def survey(listing: Listing, name: str) -> Survey:
    """Count a set of shards.

    Args:
        listing: The shards, and their index if there is one.
        name: What messages call the set.

    Raises:
        UserError: On whatever is wrong with index or shards; those behind https that have an index are only
            looked at when they are read.
    """
    found = _indexed(listing, listing.index) if listing.index else _counted(listing.shards, name)
    if not len(found.table):
        raise UserError(f"{name}: the shards hold no samples; write them with 'ssl-pcb data shards'")
    return found


def _indexed(listing: Listing, index: Index) -> Survey:
    entry = index.table
    location = beside(listing.base, entry.name)
    data = read_whole(location, min(entry.bytes, MAX_TABLE))
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise UserError(f"{location}: is not the table that {listing.base} was written with; copy both anew")
    table = Table.from_parquet(data, location, index.samples)
    sizes = tuple(shard.bytes for shard in index.shards)
    for shard, size in zip(listing.shards, sizes, strict=True):
        if not is_remote(shard):
            _refuse_other_size(Path(shard), size)
    return Survey(
        listing.shards, sizes, _starts([shard.samples for shard in index.shards]), table, index.spec.size,
        index.spec.margin, index.spec.channels, index.spec.bit_depth, index.unit, index.board_disjoint,
        _digest([shard.sha256 for shard in index.shards]),
    )  # fmt: skip


def _refuse_other_size(shard: Path, size: int) -> None:
    try:
        found = os.stat(shard).st_size
    except OSError as error:
        raise UserError(
            f"{shard}: cannot be read ({error.strerror}); copy it anew, or write the shards again"
        ) from None
    if found != size:
        raise UserError(f"{shard}: has {found:,} bytes, its index says {size:,}: {TRUNCATED}")


@dataclass(frozen=True)
class _Counted:
    table: Table
    spec: tuple[int, int]
    tiles: bool
    digest: str


def _counted(shards: Sequence[str], name: str) -> Survey:
    log.info("%s: no index, so its shards (%d) are read once, to count and check them", name, len(shards))
    pool = ThreadPoolExecutor(min(READERS, cores()))
    try:
        parts = list(tqdm(pool.map(_count, shards), "counting", len(shards), unit="shard", disable=None, leave=False))
    finally:
        pool.shutdown(cancel_futures=True)
    filled = [(shard, part) for shard, part in zip(shards, parts, strict=True) if len(part.table)]
    for (_, first), (shard, part) in pairwise(filled):
        if first.spec != part.spec:
            raise UserError(f"{shard}: {_mixed(first.spec, part.spec)}")
    table = Table.joined([part.table for part in parts])
    size, margin = filled[0][1].spec if filled else (0, 0)
    return Survey(
        tuple(shards), (None,) * len(shards), _starts([len(part.table) for part in parts]), table, size, margin, 0,
        0, "tile" if any(part.tiles for part in parts) else "image", table.board_disjoint,
        _digest([part.digest for part in parts]),
    )  # fmt: skip


def _count(shard: str) -> _Counted:
    digest = hashlib.sha256()
    tables, facts = [], list[Facts]()
    spec: tuple[int, int] | None = None
    tiles = False
    with opened_shard(shard, None) as file:
        for raw in read_samples(file, shard, lambda _: True):
            assert raw is not None, "all samples are wanted"
            found = facts_of(raw)
            spec = spec or (found.size, found.margin)
            if spec != (found.size, found.margin):
                raise UserError(f"{raw.name}: {_mixed(spec, (found.size, found.margin))}")
            digest.update(found.hash + raw.facts + len(raw.image).to_bytes(8, "little"))
            tiles = tiles or bool(found.crop)
            facts.append(found)
            if len(facts) == AT_ONCE:
                tables.append(Table.of(facts))
                facts = []
    return _Counted(Table.joined([*tables, Table.of(facts)]), spec or (0, 0), tiles, digest.hexdigest())


def facts_of(raw: Raw) -> Facts:
    """What the sample's json says; of a sample that does not say where it comes from, the image is the source."""
    facts = parse_facts(raw.facts, f"{raw.name}.json") if raw.facts else UNKNOWN
    if facts.hash:
        return facts
    content = hashlib.sha256(raw.image).digest()[:HASH_BYTES]
    return Facts(content, facts.label, facts.group, facts.split, facts.crop, facts.size, facts.margin)


def _mixed(first: tuple[int, int], other: tuple[int, int]) -> str:
    shown = [f"{size} px with a ring of {margin}" if size else "of any size" for size, margin in (first, other)]
    return f"these samples are {shown[1]}, those before {shown[0]}; list shards of one kind"


def _starts(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:24]
