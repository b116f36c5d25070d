"""An operating point in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from ssl_pcb.decision.operating_point import (
    BestF1,
    EscapeBudget,
    FalseCallBudget,
    Given,
    LeastCost,
    Rule,
    expected_cost,
)
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.errors import errs_how
from ssl_pcb.evaluation.operating import Operating
from ssl_pcb.evaluation.rates import Rate

MOST = 8
"""Boards or types that are listed."""


def asked_for(rule: Rule | None, unit: str) -> str:
    """What ``rule`` wants, in words; ``None`` = nothing else than the run's own threshold."""
    match rule:
        case None:
            return "the run's own threshold"
        case EscapeBudget(limit, meant):
            return f"at most {limit:.2%} of the Defective {unit}s may escape{_meant(meant)}"
        case FalseCallBudget(limit, meant):
            return f"at most {limit:.2%} of the good {unit}s may be stopped{_meant(meant)}"
        case LeastCost(escape, false_call, rate):
            return f"least cost if an escape costs {escape:g}, a false call {false_call:g}, and {rate:g} are Defective"
        case BestF1():
            return "best F1 of Defective"
        case Given():
            return "the threshold that was given"


def operating_lines(found: Operating, rule: Rule | None, verdicts: ThreeWay) -> Iterator[str]:
    """An operating point on one set of samples: every rate with its unit and bounds, then what it means."""
    for unit, (escape, false_call) in found.rates.items():
        yield f"escape rate per {unit}: {_rate(escape, 'Defective', unit)}"
        yield f"false-call rate per {unit}: {_rate(false_call, 'good', unit)}"
    escape, false_call = found.rates[found.unit]
    if found.unit == "tile" and false_call.samples and found.tiles_per_image > 1:
        yield _per_image(false_call.value, found.tiles_per_image)
    yield errs_how(escape.errors, escape.samples, false_call.errors, false_call.samples, found.unit)
    for table, of, errors, among in (
        (found.by_board, "board", "escapes", "defective"), (found.by_board, "board", "false_calls", "good"),
        (found.by_type, "type", "escapes", "defective"),
    ):  # fmt: skip
        rows = table[table[among].gt(0)].sort_values(errors, ascending=False, kind="stable").to_dict("records")
        if rows:
            each = ", ".join(f"{row['name']} {row[errors]} of {row[among]}" for row in rows[:MOST])
            yield f"{errors.replace('_', ' ')} by {of}: {each}{', ...' if len(rows) > MOST else ''}"
    if found.review_per_1000 is not None:
        yield f"REVIEW: {found.review_per_1000:.0f} of 1,000 {found.unit}s, where {found.defect_rate:g} are Defective"
    if isinstance(rule, LeastCost):
        yield f"expected cost per {found.unit}: {expected_cost(rule, escape.value, false_call.value):.4g}"
    yield _promise(found, thresholds(verdicts))


def thresholds(verdicts: ThreeWay) -> str:
    """The one threshold, or both: OK below the first, NG from the second on."""
    if verdicts.low == verdicts.high:
        return f"threshold {verdicts.low:.6g}"
    return f"thresholds {verdicts.low:.6g} and {verdicts.high:.6g}"


def _rate(rate: Rate, of: str, unit: str) -> str:
    if not rate.samples:
        return f"undefined, no {unit} is {of}"
    counted = (
        f"{rate.value:.2%}, {rate.errors:,} of {rate.samples:,} {of}; 95 % bound {rate.bound:.2%} (Clopper-Pearson)"
    )
    return counted + (f", {rate.cluster_bound:.2%} over resampled {rate.over}s" if rate.cluster_bound else "")


def _per_image(rate: float, tiles: int) -> str:
    return (
        f"a good image of {tiles} tiles is stopped if one of them is: 1 - (1 - {rate:.2%})^{tiles} = "
        f"{1 - (1 - rate) ** tiles:.1%} of them, if tiles err independently"
    )


def _promise(found: Operating, at: str) -> str:
    (escape, false_call), unit = found.rates[found.unit], found.unit
    said = [
        f"at {at} at most {escape.worst:.2%} of the Defective {unit}s escape (95 % bound)",
        f"{1000 * false_call.value:,.0f} of 1,000 good {unit}s are stopped (95 % bound {1000 * false_call.worst:,.0f})",
    ]
    if found.review_per_1000 is not None:
        said.append(f"{found.review_per_1000:,.0f} of 1,000 {unit}s go to REVIEW")
    return f"{', '.join(said[:-1])}, and {said[-1]}"


def _meant(meant: str) -> str:
    return ", with 95 % certainty" if meant == "bound" else ", as counted"
