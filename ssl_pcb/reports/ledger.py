"""The test ledger: how often, by what and for what a test split was looked at."""

from __future__ import annotations

import csv
import io
import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ssl_pcb.errors import UserError

COLUMNS = (
    "time",
    "command",
    "run",
    "data",
    "data_fingerprint",
    "split",
    "boards",
    "samples",
    "auroc",
    "purpose",
    "transductive",
)
_BINARY = getattr(os, "O_BINARY", 0)  # or Windows writes \r\n


def record_test_touch(ledgers: Iterable[Path], row: Mapping[str, str]) -> None:
    """Append ``row`` to each ledger (CSV), making those that do not exist.

    Runs that share a ledger may do so at the same moment: a row is one appending write.

    Args:
        ledgers: Files to append to.
        row: Values for some of :data:`COLUMNS`; others stay empty, ``time`` becomes the present in UTC.

    Raises:
        UserError: If a ledger exists and is another kind of file, or cannot be written.
        ValueError: If ``row`` has a key that is no column.
    """
    unknown = sorted(set(row) - set(COLUMNS))
    if unknown:
        raise ValueError(f"no ledger column is called {', '.join(unknown)}")
    filled = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **row}
    line = _csv_line([_safe_cell(str(filled.get(column, ""))) for column in COLUMNS])
    for ledger in ledgers:
        try:
            _append(ledger, line)
        except OSError as error:
            raise UserError(f"{ledger}: the test ledger cannot be written ({error.strerror})") from error


def open_ledger(ledger: Path) -> None:
    """Make ``ledger`` if there is none, so that a look at a test split does not fail to be recorded afterwards.

    Raises:
        UserError: If it is another kind of file, or cannot be written.
    """
    try:
        _make_sure(ledger)
        os.close(os.open(ledger, os.O_WRONLY | os.O_APPEND))
    except OSError as error:
        raise UserError(f"{ledger}: the test ledger cannot be written ({error.strerror})") from error


def _make_sure(ledger: Path) -> None:
    ledger.parent.mkdir(parents=True, exist_ok=True)
    if not ledger.exists():
        _create(ledger)
    with ledger.open("rb") as file:
        if file.readline().rstrip() != _HEADER.rstrip():
            raise UserError(f"{ledger}: is not a test ledger of this version; move it away")


def _append(ledger: Path, line: bytes) -> None:
    _make_sure(ledger)
    _write(os.open(ledger, os.O_WRONLY | os.O_APPEND | _BINARY), line)


def _create(ledger: Path) -> None:
    """The ledger appears with its header in it, or is already there: never a row before the header."""
    part = ledger.with_name(f"{ledger.name}.{uuid.uuid4().hex}.part")
    part.write_bytes(_HEADER)
    try:
        with suppress(FileExistsError):
            os.link(part, ledger)
    except OSError:  # a file system without hard links; one run at a time is then the best there is
        with suppress(FileExistsError):
            _write(os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o644), _HEADER)
    finally:
        part.unlink()


def _write(descriptor: int, data: bytes) -> None:
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(None, "the disk is full")
    finally:
        os.close(descriptor)


def _safe_cell(text: str) -> str:
    """One line of text that no spreadsheet runs as a formula."""
    text = re.sub(r"\s+", " ", text).strip()
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", text, re.IGNORECASE) is not None


def _csv_line(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode("utf-8", "backslashreplace")


_HEADER = _csv_line(COLUMNS)
