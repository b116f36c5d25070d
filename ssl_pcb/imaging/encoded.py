"""Image files that lie in memory, as members of an archive do."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Encoded:
    """The bytes of an image file, to be decoded like a file on disk.

    Attributes:
        name: What messages call it.
        data: The file's contents.
    """

    name: str
    data: bytes

    def open(self, mode: str = "rb") -> io.BytesIO:
        """The contents as an open file; there is no other mode than ``rb``."""
        return io.BytesIO(self.data)

    def read_bytes(self) -> bytes:
        """The contents."""
        return self.data

    def __str__(self) -> str:
        return self.name


ImageFile = Path | Encoded
"""What can be decoded."""
