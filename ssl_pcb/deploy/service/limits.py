"""What a service takes, so that nobody can fill its memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MIB = 1024**2

MOST_PIXELS = 64_000_000
"""Of an image unless the service is told otherwise: few bytes can hold as many.

Two are decoded at a time, and one in colour takes 14 bytes a pixel.
"""

MOST_IMAGES = 32
"""In one request."""

HELD_REQUESTS = 16
"""Requests of the largest size whose bytes may be in memory at once; of smaller ones more."""

UPLOAD_SECONDS = 60
"""A request that has not arrived by then is given up."""


@dataclass(frozen=True)
class Limits:
    """Of a service.

    Attributes:
        max_pixels: Larger images are refused.
        max_bytes: Larger requests are refused.
        batch: Images that are judged together at most.
        wait: Seconds that a batch which is not full waits for more.
        queue: Images that may wait.
    """

    max_pixels: int
    max_bytes: int = 64 * MIB
    batch: int = 16
    wait: float = 0.005
    queue: int = 256


class BusyError(Exception):
    """There is no room for more; its text says what of."""


class Held:
    """Counts the bytes of requests that are in memory."""

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0

    @contextmanager
    def bytes(self, count: int) -> Iterator[None]:
        """Hold ``count`` of them for a while.

        Raises:
            BusyError: If there is no room for so many.
        """
        if self.now + count > self.most:
            raise BusyError("requests that are being read or judged take all the memory that they may")
        self.now += count
        try:
            yield
        finally:
            self.now -= count
