"""Samples out of a tar file, in order, one at a time; nothing is ever extracted to disk.

The headers are parsed by the standard library's ``tarfile.TarInfo``. Its ``TarFile`` is not used for reading: it
keeps a list of all members, takes a damaged header for the end of the archive, reads extended headers of
any size into memory, and follows links.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ssl_pcb.errors import UserError

BLOCK = tarfile.BLOCKSIZE
IMAGES = ("jpg", "jpeg", "png")
MAX_JSON = 1 << 20
MAX_IMAGE = 256 << 20
"""Most bytes of an encoded image."""
MAX_EXTENDED = 1 << 16
"""Most bytes of an extended header, which holds a long name."""

MAX_SIZE = 1 << 48
"""Bytes of a member above which the header is damage: no disk holds such a file, and no seek goes so far."""

TRUNCATED = "is cut off or damaged; copy it anew, or write the shards again"


class Source(Protocol):
    """A tar file that is being read from its beginning to its end."""

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes; fewer only at the end."""
        ...

    def skip(self, count: int) -> None:
        """Go over ``count`` bytes."""
        ...


@dataclass(frozen=True)
class Raw:
    """A sample as it stands in the file.

    Attributes:
        name: What messages call it: shard and key.
        image: The encoded image; empty if it was skipped.
        facts: The json member; empty if there is none.
    """

    name: str
    image: bytes
    facts: bytes


def read_samples(source: Source, name: str, wanted: Callable[[int], bool]) -> Iterator[Raw | None]:
    """The samples of a shard; of those that are not wanted only the headers are read.

    Args:
        source: The open shard.
        name: What messages call it.
        wanted: Number of a sample to whether it is read.

    Yields:
        Each sample, or ``None`` for one not wanted.

    Raises:
        UserError: If the file is cut off or no tar file, or has a member that is neither image nor json.
    """
    number, key, parts = -1, None, dict[str, bytes]()
    for member in _members(source, name):
        stem, kind = _checked(member, name)
        if stem != key:
            if key is not None:
                yield _sample(name, key, parts, wanted(number))
            number, key, parts = number + 1, stem, {}
        part = "json" if kind == "json" else "image"
        if part in parts:
            raise UserError(f"{name}: sample '{stem}' has two {part} members; it may have one")
        if wanted(number):
            parts[part] = _exactly(source, member.size, name)
            source.skip(-member.size % BLOCK)
        else:
            parts[part] = b""
            source.skip(member.size + -member.size % BLOCK)
    if key is not None:
        yield _sample(name, key, parts, wanted(number))


def _sample(name: str, key: str, parts: dict[str, bytes], wanted: bool) -> Raw | None:
    if "image" not in parts:
        raise UserError(f"{name}: sample '{key}' has no image; each needs a .png or .jpg member beside its .json")
    return Raw(f"{name}: {key}", parts["image"], parts.get("json", b"")) if wanted else None


def _checked(member: tarfile.TarInfo, name: str) -> tuple[str, str]:
    """Key and ending of a member, in WebDataset's way: the ending begins at the file name's first dot."""
    folder, slash, file = member.name.rpartition("/")
    stem, _, ending = file.partition(".")
    ending = ending.lower()
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise UserError(f"{name}: member '{member.name}' is a link or device; shards hold .png, .jpg and .json files")
    if member.name.startswith("/") or ".." in member.name.split("/") or "\\" in member.name or "\0" in member.name:
        raise UserError(
            f"{name}: member '{member.name}' leads out of the archive; members are named KEY.png and KEY.json"
        )
    if not stem or ending not in (*IMAGES, "json"):
        raise UserError(
            f"{name}: member '{member.name}' is none of .png, .jpg, .jpeg, .json; only these are read from shards"
        )
    most = MAX_JSON if ending == "json" else MAX_IMAGE
    if member.size > most:
        raise UserError(f"{name}: member '{member.name}' has {member.size:,} bytes; at most {most:,} are read")
    return folder + slash + stem, ending


def _members(source: Source, name: str) -> Iterator[tarfile.TarInfo]:
    """Files and links in order; the caller reads or skips each one's contents."""
    long_name = ""
    while (block := _exactly(source, BLOCK, name)) != bytes(BLOCK):
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise UserError(f"{name}: {TRUNCATED}") from None
        if not 0 <= member.size <= MAX_SIZE:
            raise UserError(f"{name}: {TRUNCATED}")
        if member.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE):
            long_name = _extended(source, member, name) or long_name
            continue
        member.name, long_name = long_name or member.name, ""
        if member.isdir():
            source.skip(member.size + -member.size % BLOCK)
        else:
            yield member


def _extended(source: Source, member: tarfile.TarInfo, name: str) -> str:
    """The long name that an extended header gives to the member after it, if any."""
    if member.size > MAX_EXTENDED:
        raise UserError(f"{name}: an extended header has {member.size:,} bytes; write the shard with short names")
    data = _exactly(source, member.size, name)
    source.skip(-member.size % BLOCK)
    if member.type == tarfile.GNUTYPE_LONGNAME:
        return data.rstrip(b"\0").decode("utf-8", "surrogateescape")
    if member.type != tarfile.XHDTYPE:
        return ""
    if re.search(rb"(^|\n)\d+ (size|GNU\.sparse\.[a-z]+)=", data):
        raise UserError(f"{name}: has sparse or very large members; write it as a plain tar file")
    found = re.search(rb"(?:^|\n)\d+ path=([^\n]*)\n", data)
    return found[1].decode("utf-8", "surrogateescape") if found else ""


def _exactly(source: Source, count: int, name: str) -> bytes:
    data = source.read(count)
    if len(data) != count:
        raise UserError(f"{name}: {TRUNCATED}")
    return data
