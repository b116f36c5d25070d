"""A robustness measurement as a table for the terminal, and in plain words."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.audit.robustness import Hardship, Level, Robustness

SHOWN = (1, 3, 5)
"""Severities in the table."""


def table(found: Robustness) -> list[str]:
    """A line for the pictures as they are, and one for each corruption."""
    clean, first = found.clean, SHOWN[0]
    rows = [_row("as they are", clean["auroc"])]
    rows[0] |= {f"escape {first}": _percent(clean["escape_rate"])}
    rows[0] |= {f"false calls {first}": _percent(clean["false_call_rate"])}
    for each in found.hardships:
        twice = each.doubled(clean["escape_rate"])
        row = _row(each.corruption.name, each.levels[-1].rates["auroc"])
        for severity in SHOWN:
            rates = each.levels[severity - 1].rates
            row |= {f"escape {severity}": _percent(rates["escape_rate"])}
            row |= {f"false calls {severity}": _percent(rates["false_call_rate"])}
        rows.append(
            row | {"twice": str(twice.severity) if twice else "-", "trained on": "*" if each.trained_on else ""}
        )
    columns = [f"{name} {severity}" for name in ("escape", "false calls") for severity in SHOWN]
    frame = pd.DataFrame(rows, columns=["", *columns, "AUROC", "twice", "trained on"])
    return frame.fillna("").to_string(index=False).splitlines()


def _row(name: str, auroc: float) -> dict[str, str]:
    return {"": name, "AUROC": f"{auroc:.3f}"}


def shift_lines(found: Robustness) -> Iterator[str]:
    """A line for each distance."""
    for each in found.shifts:
        low, high = each.flips.interval()
        yield (
            f"{SHIFT} by {each.pixels} px: {each.flips.value:.1%} of the verdicts flip [{low:.1%}, {high:.1%}], scores "
            f"change by {each.score_change:.2f} standard deviations"
        )


def sentences(found: Robustness) -> Iterator[str]:
    """Which corruption hurts most, and from which severity on each lets over twice as many defects escape."""
    clean, worst = found.clean["escape_rate"], found.hardest
    if worst.harm <= 0:
        yield "no corruption costs balanced accuracy"
    else:
        yield (
            f"{worst.corruption.name} hurts most: balanced accuracy is {worst.harm:.3f} lower, mean of its severities; "
            f"{_said(worst, worst.doubled(clean), found)}"
        )
    others = {each.corruption.name: each.doubled(clean) for each in found.hardships if each is not worst}
    doubled = [f"{name} from severity {level.severity}" for name, level in others.items() if level]
    if doubled:
        yield f"over twice the clean escape rate as well: {', '.join(doubled)}"


def _said(worst: Hardship, level: Level | None, found: Robustness) -> str:
    clean = f"the {_percent(found.clean['escape_rate'])} of clean pictures"
    if level is None:
        last = worst.levels[-1]
        return (
            f"its escape rate never exceeds twice {clean}, but at severity {last.severity} "
            f"{_percent(last.rates['false_call_rate'])} of the good {found.unit}s are called Defective"
        )
    return (
        f"from severity {level.severity} ({strength(worst, level)}) {_percent(level.rates['escape_rate'])} of the "
        f"Defective {found.unit}s escape at the fixed threshold, over twice {clean}"
    )


def strength(hardship: Hardship, level: Level) -> str:
    """What a severity is in the corruption's unit."""
    return f"{level.strength:g} {hardship.corruption.unit}"


def _percent(rate: float) -> str:
    return f"{rate:.1%}"
