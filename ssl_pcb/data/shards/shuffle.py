"""Random order without holding all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

BUFFER = 64 << 20
"""Most encoded bytes that wait to be drawn from at random."""

Item = TypeVar("Item")


def shuffled(
    items: Iterable[Item], weight: Callable[[Item], int], most: int, rng: np.random.Generator
) -> Iterator[Item]:
    """Items in random order, as far as a buffer allows.

    Args:
        items: Any number of them.
        weight: Bytes of one.
        most: Most items that the buffer holds; beyond :data:`BUFFER` bytes it holds fewer.
        rng: Draws.
    """
    buffer: list[Item] = []
    held = 0

    def draw() -> Item:
        place = int(rng.integers(len(buffer)))
        buffer[place], buffer[-1] = buffer[-1], buffer[place]
        return buffer.pop()

    for item in items:
        buffer.append(item)
        held += weight(item)
        while len(buffer) > most or (held > BUFFER and len(buffer) > 1):
            chosen = draw()
            held -= weight(chosen)
            yield chosen
    while buffer:
        yield draw()
