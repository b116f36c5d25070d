"""Which tar files a text names: an index, a list, a pattern, a range, or one file."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from ssl_pcb.data.shards.index import INDEX, Index, parse_index
from ssl_pcb.data.shards.opening import check_location, is_remote, read_whole
from ssl_pcb.errors import UserError

MAX_LIST = 64 << 20
MAX_SHARDS = 1_000_000
FORMS = f"an {INDEX}, a pattern such as 'out/*.tar', a range such as 'out/shard-{{000000..000009}}.tar', a .txt list"

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Listing:
    """Tar files by location, and the index that names them if one does.

    Attributes:
        shards: Local paths or https addresses.
        index: What the index says, in the same order.
        base: Location of the index.
    """

    shards: tuple[str, ...]
    index: Index | None = None
    base: str = ""


def list_shards(text: str) -> Listing:
    """Resolve a text that a user gave.

    Args:
        text: Local path or https address of an index, a .txt list or a tar file; a pattern; a brace range.

    Raises:
        UserError: On a scheme other than https, a pattern that matches nothing, a file that is missing, a
            shard named twice.
    """
    check_location(text)
    # os.path, not Path, whose questions raise OSError about names too long for the file system.
    if not is_remote(text) and os.path.isdir(text):
        text = str(Path(text) / INDEX)
        if not os.path.isfile(text):
            raise UserError(f"{text}: no such file; name {FORMS}")
    ending = _ending(text)
    if ending == ".json":
        index = parse_index(read_whole(text, MAX_LIST), text)
        return Listing(tuple(beside(text, shard.name) for shard in index.shards), index, text)
    found = _lines(text) if ending == ".txt" else _expand(text, "")
    shards = tuple(shard if is_remote(shard) else str(Path(shard)) for shard in found)
    if not shards:
        raise UserError(f"{text}: lists no shards; write one location a line")
    twice = next((shard for shard, same in zip(sorted(shards), sorted(shards)[1:], strict=False) if shard == same), "")
    if twice:
        raise UserError(f"{text}: names {twice} twice; its samples would count twice")
    return Listing(shards)


def beside(location: str, name: str) -> str:
    """A file in the same folder as ``location``, or an absolute one."""
    return urljoin(location, name) if is_remote(location) else str(Path(location).parent / name)


def _ending(text: str) -> str:
    return Path(urlsplit(text).path if is_remote(text) else text).suffix.lower()


def _lines(location: str) -> Iterator[str]:
    try:
        lines = read_whole(location, MAX_LIST).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{location}: is no text in UTF-8") from None
    for number, line in enumerate((line.strip() for line in lines), start=1):
        if line and not line.startswith("#"):
            by = f"{location}, line {number}"
            check_location(line, by)
            yield from _expand(line if is_remote(line) else _joined(location, line, by), f"{by}: ")


def _joined(location: str, line: str, named_by: str) -> str:
    """Where ``line`` of a list leads; one such as ``//host/a.tar`` becomes another address only here."""
    try:
        target = beside(location, line)
    except ValueError:
        raise UserError(f"{named_by}: is not a complete https address") from None
    if is_remote(location) and not is_remote(target):
        raise UserError(f"{named_by}: '{line}' is refused: a remote list names https alone")
    check_location(target, named_by)
    return target


def _expand(text: str, named_by: str) -> Iterator[str]:
    """The tar files behind a pattern, a range, or a plain location."""
    if _ending(text) != ".tar":
        raise UserError(f"{named_by}{text}: is no .tar file; name {FORMS}")
    for location in _ranges(text, named_by):
        if is_remote(location):
            if re.search(r"[*\[\]{}]", urlsplit(location).path):
                raise UserError(f"{named_by}{location}: a server lists no files; name a range, a list or an {INDEX}")
            yield location
        elif glob.has_magic(location) and not os.path.isfile(location):
            found = sorted(glob.glob(location))
            if not found:
                raise UserError(f"{named_by}{location}: matches no file; look for a slip, or write shards with "
                                "'ssl-pcb data shards'")  # fmt: skip
            yield from found
        elif not os.path.isfile(location):
            raise UserError(f"{named_by}{location}: no such shard")
        else:
            yield location


def _ranges(text: str, named_by: str) -> Iterator[str]:
    pieces = _RANGE.split(text)  # text, first, last, text, first, last, ..., text
    spans, count = [], 1
    for first, last in zip(pieces[1::3], pieces[2::3], strict=True):
        count *= int(last) - int(first) + 1 if len(last) < 10 else MAX_SHARDS + 1
        if int(last) < int(first) or count > MAX_SHARDS:
            raise UserError(f"{named_by}{text}: the range {first}..{last} is empty or longer than {MAX_SHARDS:,}")
        spans.append([f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)])
    texts = pieces[0::3]
    for chosen in product(*spans):
        yield texts[0] + "".join(number + text for number, text in zip(chosen, texts[1:], strict=True))
