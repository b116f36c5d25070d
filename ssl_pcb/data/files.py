"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from ssl_pcb.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says when a disk, a quota or a file's permitted size is used up."""


@contextmanager
def whole_file(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """A file beside ``path`` to write to; it takes the place of ``path`` at the end, or vanishes on any error.

    Args:
        path: The file.
        shared: Whether other processes may write the same file at the same time.

    Raises:
        UserError: If it cannot be written.
    """
    part = path.with_name(f"{path.name}.{uuid4().hex}.part" if shared else f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        mend = f"; free some space in {path.parent}" if error.errno in FULL else ""
        raise UserError(f"{path}: cannot be written ({error.strerror or error}){mend}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` to fill; it becomes ``path`` at the end, or vanishes if anything goes wrong.

    Raises:
        UserError: If ``path`` has something in it, or cannot be written.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path}: exists already and is not an empty folder; name a new one")
    path = path.resolve()  # of a link, what it leads to
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{path.name}.part-", dir=path.parent))
        try:
            part.chmod(0o755)
            yield part
            if path.exists():
                path.rmdir()  # Windows does not replace even an empty folder
            os.replace(part, path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def whole_stream(path: Path, *, shared: bool = False) -> Iterator[Writer]:
    """As :func:`whole_file`, opened for numpy and torch to write to."""
    with whole_file(path, shared=shared) as part, part.open("wb") as opened:
        writer = Writer(opened)
        try:
            yield writer
        except Exception:
            if writer.failure is None:
                raise
            raise writer.failure from None


class Writer:
    """An open file that keeps the error which ended its writing.

    Given a real file, numpy and torch report a full disk without saying so, and torch does that even when it is
    given another object.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write bytes or a buffer."""
        try:
            return self.file.write(data)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """Hand everything to the system."""
        try:
            self.file.flush()
        except OSError as error:
            self.failure = error
            raise


def separator_of(text: str) -> str:
    """What separates the cells of a table: whichever of comma, semicolon and tab its first line has most of."""
    return max(",;\t", key=text.partition("\n")[0].count)
