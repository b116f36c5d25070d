"""``index.json``: what ``ssl-pcb data shards`` says about the shards it wrote."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from ssl_pcb.config.base import Section
from ssl_pcb.data.cutting import StoreSpec
from ssl_pcb.errors import UserError

VERSION = 1
MAX_SIDE = 1 << 16
INDEX = "index.json"
TABLE = "samples.parquet"

Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=200)]
"""A file beside the index: no folder, no scheme."""


def _possible(spec: StoreSpec) -> StoreSpec:
    if not (0 < spec.size <= MAX_SIDE and 0 <= spec.margin <= MAX_SIDE):
        raise ValueError("size and margin are no numbers of pixels")
    if spec.channels not in (1, 3) or not 8 <= spec.bit_depth <= 16:
        raise ValueError("channels are 1 or 3, bit_depth is 8 to 16")
    return spec


class ShardEntry(Section):
    """One tar file.

    Reading compares its size, and every png's own checksums; ``sha256`` only tells one set from another in a run's
    records, and is there for ``sha256sum``: an epoch jumps over what it does not learn from.
    """

    name: FileName
    samples: Count
    bytes: Count
    sha256: Digest
    boards: tuple[str, ...]


class TableEntry(Section):
    """The table of all samples, in the shards' order."""

    name: FileName
    bytes: Count
    sha256: Digest


class Index(Section):
    """A whole set of shards."""

    version: int
    spec: Annotated[StoreSpec, AfterValidator(_possible)]
    unit: Literal["tile", "image"]
    board_disjoint: bool
    samples: Count
    table: TableEntry
    shards: tuple[ShardEntry, ...]


def parse_index(data: bytes, name: str) -> Index:
    """Read an index.

    Args:
        data: The file's contents.
        name: What messages call it.

    Raises:
        UserError: If it is none, or of another version of this package.
    """
    try:
        index = Index.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise UserError(f"{name}: is no index of shards ({where}: {first['msg'].splitlines()[0]})") from None
    if index.version != VERSION:
        raise UserError(f"{name}: is of version {index.version}, not {VERSION}; write the shards anew")
    if len({shard.name for shard in index.shards}) < len(index.shards):
        raise UserError(f"{name}: names a shard twice; write the shards anew")
    if sum(shard.samples for shard in index.shards) != index.samples:
        raise UserError(f"{name}: its numbers of samples do not add up; write the shards anew")
    return index
