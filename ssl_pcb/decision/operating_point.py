"""The threshold that keeps a promise: an escape or false-call budget, the least cost, or the best F1."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.decision.bounds import checked_rate, samples_needed, upper_bound
from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.decision.thresholds import candidate_thresholds, choose_threshold
from ssl_pcb.errors import UserError

Meant = Literal["bound", "point"]
"""Whether a budget is for the 95 % bound of a rate, or for the rate as counted."""


@dataclass(frozen=True)
class EscapeBudget:
    """At most ``limit`` of the defects may escape; of the thresholds that keep it, the one with fewest false calls."""

    limit: float
    meant: Meant = "bound"


@dataclass(frozen=True)
class FalseCallBudget:
    """At most ``limit`` of the good samples may be called Defective; of these thresholds, that with fewest escapes."""

    limit: float
    meant: Meant = "bound"


@dataclass(frozen=True)
class LeastCost:
    """The least expected cost of a sample where a share ``defect_rate`` of them is Defective."""

    escape: float
    false_call: float
    defect_rate: float


@dataclass(frozen=True)
class BestF1:
    """The best F1 of Defective, at the validation samples' own share of defects."""


@dataclass(frozen=True)
class Given:
    """The threshold that the user names."""

    threshold: float


ROUNDING = 1e-12
"""By which share costs may differ that are equal."""

Rule = EscapeBudget | FalseCallBudget | LeastCost | BestF1 | Given


def choose_operating_point(scores: ArrayLike, labels: ArrayLike, rule: Rule, unit: str = "sample") -> float:
    """The threshold that ``rule`` asks for, chosen on validation samples.

    It lies midway between two scores (:func:`~ssl_pcb.decision.thresholds.candidate_thresholds`), so that rounding
    flips no verdict. Scores of at least it are Defective. Costs of equal size are settled for the lower threshold,
    which lets fewer defects escape.

    Args:
        scores: (N,), higher = more likely Defective.
        labels: (N,) in {0, 1}.
        rule: What the threshold is for.
        unit: What a sample is, for messages.

    Raises:
        UserError: If a class is missing, a limit or cost makes no sense, or the samples are too few for the bound.
    """
    refuse_few(rule, labels, unit)
    values, classes = checked_pair(scores, labels, both_classes=True)
    match rule:
        case Given(threshold):
            if not math.isfinite(threshold):
                raise UserError(f"--threshold: {threshold} is not a finite number")
            return threshold
        case BestF1():
            return choose_threshold(values, classes, "f1")
    candidates = candidate_thresholds(values)
    escaped, stopped = _errors(values, classes, candidates)
    defective = int(classes.sum())
    good = len(classes) - defective
    match rule:
        case EscapeBudget(limit, meant):
            return float(candidates[_within(escaped, defective, limit, meant)].max())
        case FalseCallBudget(limit, meant):
            return float(candidates[_within(stopped, good, limit, meant)].min())
        case LeastCost(escape, false_call, defect_rate):
            checked_rate("--defect-rate", defect_rate)
            for name, cost in (("--cost-escape", escape), ("--cost-false-call", false_call)):
                if not (math.isfinite(cost) and cost > 0):
                    raise UserError(f"{name}: {cost:g} is not above 0; give what one costs, in any currency")
            costs = _costs(rule, escaped / defective, stopped / good)
            return float(candidates[costs <= costs.min() * (1 + ROUNDING)].min())


def refuse_few(rule: Rule | None, labels: ArrayLike, unit: str) -> None:
    """Refuse a budget that so few samples cannot promise, naming how many it takes.

    Args:
        rule: What a threshold is for; other rules than budgets are promised by any number.
        labels: (N,) in {0, 1}, of the samples that are to choose it.
        unit: What a sample is.

    Raises:
        UserError: If so, or if the limit is no rate.
    """
    match rule:
        case EscapeBudget(limit, meant):
            flag, label, what = "--max-escape", 1, f"Defective {unit}s"
        case FalseCallBudget(limit, meant):
            flag, label, what = "--max-false-calls", 0, f"NonDefective {unit}s"
        case _:
            return
    checked_rate(flag, limit)
    samples, needed = int((np.asarray(labels) == label).sum()), samples_needed(limit)
    if meant == "bound" and samples < needed:
        allowed = f"allow {math.ceil(upper_bound(0, samples) * 1e4) / 1e4:g}, " if samples else ""
        raise UserError(
            f"{flag}: to promise {limit:g} at 95 % takes at least {needed} {what} in validation, and there are "
            f"{samples}; label more, {allowed}or pass --as point for what was counted"
        )


def expected_cost(rule: LeastCost, escape_rate: float, false_call_rate: float) -> float:
    """What a sample costs on average, in the currency of ``rule``."""
    return float(_costs(rule, np.array(escape_rate), np.array(false_call_rate)))


def _costs(
    rule: LeastCost, escape_rate: NDArray[np.float64], false_call_rate: NDArray[np.float64]
) -> NDArray[np.float64]:
    escapes = rule.defect_rate * rule.escape * escape_rate
    return np.asarray(escapes + (1 - rule.defect_rate) * rule.false_call * false_call_rate)


def _errors(
    values: NDArray[np.float64], classes: NDArray[np.int64], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Escapes and false calls at each of the thresholds."""
    good, defective = (np.sort(values[classes == label]) for label in (0, 1))
    escaped = np.searchsorted(defective, thresholds, side="left")
    return escaped, len(good) - np.searchsorted(good, thresholds, side="left")


def _within(errors: NDArray[np.int64], samples: int, limit: float, meant: Meant) -> NDArray[np.bool_]:
    if meant == "point":
        return np.asarray(errors <= limit * samples + 1e-9)
    most = bisect_right(range(samples + 1), limit, key=lambda count: upper_bound(count, samples)) - 1
    return np.asarray(errors <= most)
