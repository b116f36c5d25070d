"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ssl_pcb.errors import UserError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` to write to; it takes the name ``path`` at the end, or vanishes on any error.

    One that a killed process has left is removed first; one that a living process writes is not.

    Raises:
        UserError: If ``path`` has something in it, is being written by another process, or cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        _refuse_filled(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            _refuse_filled(path)  # another process may have finished it meanwhile
            _remove_left_over(part)
            part.mkdir()
            try:
                yield part
                with suppress(FileNotFoundError):
                    path.rmdir()  # an empty one is in the way on Windows
                os.replace(part, path)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); free some space, or name another "
                        "folder") from None  # fmt: skip


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """As the only process that writes ``path``; the lock ends with the process that holds it."""
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{path}: another process is writing it; wait for that one, or name another folder") from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            Path(lock.lock_file).unlink()  # while it is held: a later one might be another process' already
        lock.release()


def _refuse_filled(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path}: exists and is not an empty folder; name a new one")


def _remove_left_over(part: Path) -> None:
    if not part.exists():
        return
    if not part.is_dir() or any(file.suffix not in (".tar", ".parquet", ".json") for file in part.iterdir()):
        raise UserError(f"{part}: is in the way; move it, or name another folder")
    shutil.rmtree(part)
