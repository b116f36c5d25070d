"""What becomes of a classifier's errors at a fixed threshold when the camera is no longer as it was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_pcb.audit.camera.corruptions import Corruption
from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.audit.camera.scoring import CLEAN
from ssl_pcb.audit.proportion import Proportion
from ssl_pcb.evaluation.paired import Difference

RATES = ("escape_rate", "false_call_rate", "auroc")
TWICE = 2.0
"""Times the clean escape rate above which a corruption is told of."""


@dataclass(frozen=True)
class Level:
    """Rates under a corruption of one severity.

    Attributes:
        severity: 1 to 5.
        strength: In the corruption's unit.
        rates: :data:`RATES`.
        changes: What they are more than those of the pictures as they are.
    """

    severity: int
    strength: float
    rates: Mapping[str, float]
    changes: Mapping[str, Difference]

    @property
    def harm(self) -> float:
        """Balanced accuracy lost."""
        return (self.changes["escape_rate"].value + self.changes["false_call_rate"].value) / 2


@dataclass(frozen=True)
class Hardship:
    """One corruption.

    Attributes:
        corruption: Which.
        levels: Of each severity.
        trained_on: Keys of the augmentation that showed such pictures in training.
    """

    corruption: Corruption
    levels: Sequence[Level]
    trained_on: Sequence[str]

    @property
    def harm(self) -> float:
        """Balanced accuracy lost, mean over the severities."""
        return sum(level.harm for level in self.levels) / len(self.levels)

    def doubled(self, clean: float) -> Level | None:
        """The first severity at which the escape rate is over twice ``clean``, if there is one."""
        return next((each for each in self.levels if each.rates["escape_rate"] > TWICE * clean), None)


@dataclass(frozen=True)
class ShiftEffect:
    """What a shift of whole pixels in each of the four directions does.

    Attributes:
        pixels: How far.
        flips: Samples whose verdict becomes another one, each counted by the share of the directions.
        score_change: Mean absolute change of the score, in standard deviations of the clean scores.
    """

    pixels: int
    flips: Proportion
    score_change: float


@dataclass(frozen=True)
class Robustness:
    """All of it.

    Attributes:
        judged: Number of samples.
        defective: How many of them are.
        unit: What one sample is.
        clustered: What intervals are over, boards or source images.
        clean: :data:`RATES` of the pictures as they are.
        threshold: Fixed.
        hardships: A corruption each.
        shifts: A distance each.
        shifts_trained_on: Keys of the augmentation that moved pictures in training.
    """

    judged: int
    defective: int
    unit: str
    clustered: str
    clean: Mapping[str, float]
    threshold: float
    hardships: Sequence[Hardship]
    shifts: Sequence[ShiftEffect]
    shifts_trained_on: Sequence[str]

    @property
    def hardest(self) -> Hardship:
        """The corruption that costs most balanced accuracy over its severities."""
        return max(self.hardships, key=lambda each: each.harm)

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for the pictures as they are, for each corruption and severity, and for each shift."""
        yield {"corruption": CLEAN.name, "level": 0, **self.clean}
        for hardship in self.hardships:
            for level in hardship.levels:
                yield {
                    "corruption": hardship.corruption.name, "level": level.severity, "strength": level.strength,
                    "unit": hardship.corruption.unit, "trained_on": " ".join(hardship.trained_on),
                    **_flat(level),
                }  # fmt: skip
        for shift in self.shifts:
            low, high = shift.flips.interval()
            yield {
                "corruption": SHIFT, "level": shift.pixels, "strength": shift.pixels, "unit": "px",
                "trained_on": " ".join(self.shifts_trained_on), "flip_rate": shift.flips.value, "flip_rate_low": low,
                "flip_rate_high": high, "score_change": shift.score_change,
            }  # fmt: skip


def _flat(level: Level) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in RATES:
        change = level.changes[name]
        ends = {"low": change.low, "high": change.high}
        found |= {name: level.rates[name], f"{name}_change": change.value}
        found |= {f"{name}_change_{end}": None if math.isnan(value) else value for end, value in ends.items()}
    return found
