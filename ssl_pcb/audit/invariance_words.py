"""What a classifier minds, as a table for the terminal and in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from ssl_pcb.audit.invariance import Invariance

LEGEND = (
    "similarity: cosine between the features of a picture and of its changed copy, mean and 5th percentile; 1 = the "
    "change is not noticed",
    "verdicts flipped: pictures whose verdict at the run's threshold is another one after the change, with the 95 % "
    "interval",
    "strength: up to = drawn for each picture, at most so much; level = exactly so much of 10, either way",
    "*: as strong as in the standard augmentation, so that no verdict should depend on it; the others are reported",
)


def table(measured: Sequence[Invariance]) -> list[str]:
    """A line for each change."""
    rows = []
    for each in measured:
        change, (low, high) = each.change, each.flips.interval()
        how = "up to" if change.of == "view" else "level"
        rows.append(
            {
                "change": change.name,
                "strength": "" if change.strength is None else f"{how} {change.strength:g}",
                "*": "*" if change.usual else "",
                "similarity": f"{each.similarity:.3f}",
                "5th percentile": f"{each.least_similar:.3f}",
                "verdicts flipped": f"{each.flips.value:.1%} ({low:.1%} to {high:.1%})",
            }
        )
    return pd.DataFrame(rows).to_string(index=False).splitlines()


def sentences(measured: Sequence[Invariance]) -> Iterator[str]:
    """Which change that should not matter matters most, and which of the others does."""
    usual, others = ([each for each in measured if each.change.usual is which] for which in (True, False))
    worst, last = max(usual, key=_flipped), max(others, key=_flipped)
    if worst.flips.hits == 0:
        yield "no change as strong as the standard augmentation's turns a verdict over"
    else:
        yield (
            f"of the changes that no verdict should depend on, the worst is {worst.change}: it turns the verdict over "
            f"for {worst.flips.value:.1%} of the pictures"
        )
    yield f"of all others, the worst is {last.change}: {last.flips.value:.1%}"


def _flipped(each: Invariance) -> float:
    return each.flips.value
