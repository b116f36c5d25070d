"""Local files and https, opened by us: no other scheme, no shell, no redirect to anything else."""

from __future__ import annotations

import http.client
import logging
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from ssl_pcb.data.shards.tar import TRUNCATED
from ssl_pcb.errors import UserError

Item = TypeVar("Item")

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as gone."""
CHUNK = 1 << 20

PAUSES = (1.0, 3.0, 9.0)
"""Seconds before a server that did not answer, or was too busy to, is asked again."""
BUSY = (429, 500, 502, 503, 504)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # of two letters and more: C: is a drive
MEND = "only local files and https:// are read"


def is_remote(location: str) -> bool:
    """Whether this is an https address; anything else that passes :func:`check_location` is a local path."""
    return location.lower().startswith("https://")


def check_location(location: str, named_by: str = "") -> None:
    """Refuse whatever is neither a local path nor plain https.

    Args:
        location: What a user, a list or a server named.
        named_by: The list or server.

    Raises:
        UserError: On ``pipe:`` and every other scheme, on ``-``, and on passwords in an address.
    """
    by = f"{named_by}: " if named_by else ""
    scheme = _SCHEME.match(location)
    if location == "-" or "\0" in location or (scheme and not is_remote(location)):
        raise UserError(f"{by}'{location}' is refused: {MEND}")
    if is_remote(location):
        try:
            parts = urlsplit(location)
            named = bool(parts.hostname) and parts.port != 0  # reading a port that is none raises
        except ValueError:
            named = False
        if not named or not location.isascii() or not location.isprintable() or " " in location:
            raise UserError(f"{by}'{location}' is not a complete https address")
        if "@" in parts.netloc:
            raise UserError(f"{by}https://...@{parts.hostname} holds a user name or password; {MEND}, without those")


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https alone; what is neither http, https nor ftp the base class refuses."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request to the new address, once that has been checked."""
        check_location(newurl, f"{req.full_url} redirects")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    # build_opener would add handlers for http, ftp, file and data.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _HttpsOnly(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class Interrupted(UserError):
    """A server went away while it was being read; reading anew may help."""


@contextmanager
def opened(location: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open a local file or an https address that :func:`check_location` let pass.

    Yields:
        The open file, and its size in bytes if that is known.

    Raises:
        Interrupted: If a server fails for a reason that may pass.
        UserError: If it is missing, may not be read, or fails while it is read.
    """
    try:
        if is_remote(location):
            with closing(_answer(location)) as answer:
                yield answer, answer.length
        else:
            with Path(location).open("rb") as file:
                yield file, os.fstat(file.fileno()).st_size
    except urllib.error.HTTPError as error:
        raise UserError(f"{location}: the server answers {error.code} {error.reason}; check the address") from None
    except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
        kind = Interrupted if is_remote(location) and _may_pass(error) else UserError
        raise kind(f"{location}: cannot be read ({_first_line(error)})") from None


def _answer(location: str) -> Any:
    """The server's answer, after a few pauses if it fails for a reason that may pass."""
    for pause in (*PAUSES, None):
        try:
            return _opener().open(location, timeout=TIMEOUT)
        except ValueError as error:  # of an address that a server redirects to
            raise UserError(f"{location}: cannot be read ({_first_line(error)})") from None
        except (OSError, http.client.HTTPException) as error:
            if pause is None or not _may_pass(error):
                raise
            log.info("%s: cannot be read (%s); asking again in %g s", location, _first_line(error), pause)
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in BUSY
    cause = getattr(error, "reason", error)  # what a URLError wraps
    if isinstance(cause, socket.gaierror):
        return cause.errno == socket.EAI_AGAIN
    return isinstance(cause, (ConnectionError, TimeoutError, ssl.SSLEOFError, http.client.IncompleteRead))


def read_on(start: Callable[[], Iterator[Item]]) -> Iterator[Item]:
    """Yield what ``start()`` yields; if a server goes away meanwhile, start again after a pause, a few times.

    Args:
        start: Goes on after what it yielded before.

    Raises:
        Interrupted: If the last attempt fails too.
    """
    for pause in (*PAUSES, None):
        try:
            yield from start()
            return
        except Interrupted as error:
            if pause is None:
                raise
            log.info("%s; reading on in %g s", error, pause)
            time.sleep(pause)


def read_whole(location: str, most: int) -> bytes:
    """All of a small file.

    Args:
        location: Local path or https address.
        most: Most bytes that are read.

    Raises:
        UserError: If it cannot be read, or is larger.
    """
    with opened(location) as (file, _):
        data = file.read(most + 1)
    if len(data) > most:
        raise UserError(f"{location}: is larger than the {most:,} bytes that are read of such a file")
    return data


@contextmanager
def opened_shard(location: str, size: int | None) -> Iterator[LocalTar | RemoteTar]:
    """Open a tar file for :func:`ssl_pcb.data.shards.tar.read_samples`.

    Args:
        location: Local path or https address.
        size: Bytes that it must have, if an index says so.

    Raises:
        UserError: If it cannot be read, or has another size.
    """
    with opened(location) as (file, found):
        if size is not None and found not in (None, size):
            raise UserError(f"{location}: has {found:,} bytes, its index says {size:,}: {TRUNCATED}")
        yield RemoteTar(file, found if size is None else size) if is_remote(location) else LocalTar(file)


class LocalTar:
    """A tar file on disk, of which unwanted parts are jumped over."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes; fewer only at the end."""
        return self.file.read(count)

    def skip(self, count: int) -> None:
        """Go over ``count`` bytes, beyond the end if need be."""
        self.file.seek(count, os.SEEK_CUR)


class RemoteTar:
    """A tar file behind https, read as it comes.

    Args:
        file: The server's answer.
        size: Bytes after which it is taken to end; ``None`` = when the server ends it.
    """

    def __init__(self, file: BinaryIO, size: int | None) -> None:
        self.file, self.left = file, size

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes; fewer only at the end.

        Raises:
            OSError: If the server ends it before the bytes that it must have.
        """
        if self.left is not None:
            count = min(count, self.left)
            self.left -= count
        data = self.file.read(count) if count else b""
        if len(data) < count and self.left is not None:
            raise ConnectionResetError("the server ended it early")
        return data

    def skip(self, count: int) -> None:
        """Go over ``count`` bytes."""
        while count > 0 and (data := self.read(min(count, CHUNK))):
            count -= len(data)


def _first_line(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return (str(reason) or type(error).__name__).splitlines()[0]
