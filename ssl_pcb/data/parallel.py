"""Cores, and reading many files with a few threads (decoders let go of the interpreter lock)."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ssl_pcb.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_files(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    progress: Callable[[], object] | None = None,
) -> Generator[Result | UserError, None, None]:
    """Apply a function to each item, in order; a ``UserError`` becomes that item's result.

    Args:
        function: Called in threads.
        items: What to call it with.
        progress: Called after each.

    Yields:
        The function's results or the errors, in the items' order.
    """

    def attempt(item: Item) -> Result | UserError:
        try:
            return function(item)
        except UserError as error:
            return error

    pool = ThreadPoolExecutor(min(4, cores()))
    try:
        for result in pool.map(attempt, items):
            if progress:
                progress()
            yield result
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for all that is queued
