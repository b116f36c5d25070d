"""A share of counted cases, with the interval that so few or so many cases allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest


@dataclass(frozen=True)
class Proportion:
    """``hits`` of ``total`` cases; ``total`` is at least 1.

    Attributes:
        hits: Cases counted.
        total: Cases looked at.
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.hits / self.total

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided Clopper-Pearson interval (Biometrika 1934); exact where the cases are independent."""
        low, high = binomtest(self.hits, self.total).proportion_ci(level, method="exact")
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: value, count, total and the 95 % interval."""
        return {
            "value": self.value,
            "count": self.hits,
            "total": self.total,
            "interval_95": list(self.interval()),
        }

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.value:.1%} ({self.hits:,} of {self.total:,}; 95 % interval {low:.1%} to {high:.1%})"
