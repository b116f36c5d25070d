"""``index.json``: what ``ssl-pcb data shards`` says about the shards it wrote."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from ssl_pcb.config.base import Section
from ssl_pcb.errors import UserError

VERSION = 1
INDEX = "index.json"
TABLE = "samples.parquet"

Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=200)]
"""A file beside the index: no folder, no scheme."""


class Spec(Section):
    """How samples became pixels."""

    size: int = Field(ge=1, le=1 << 16)
    margin: int = Field(ge=0, le=1 << 16)
    channels: Literal[1, 3]
    bit_depth: int = Field(ge=8, le=16)

    @property
    def side(self) -> int:
        """Side of an image with its ring in pixels."""
        return self.size + 2 * self.margin


class ShardEntry(Section):
    """One tar file."""

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
    spec: Spec
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
