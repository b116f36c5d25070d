"""A share of counted cases, with the interval that so few or so many cases allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta


@dataclass(frozen=True)
class Proportion:
    """``hits`` of ``total`` cases; ``total`` is at least 1.

    Attributes:
        hits: Cases counted; a case may count in part.
        total: Cases looked at.
        independent: As many independent cases would vary like these; ``None`` = they are independent.
    """

    hits: float
    total: int
    independent: float | None = None

    @classmethod
    def at_least(cls, values: Sequence[float], bound: float) -> Proportion:
        """The cases of at least ``bound``."""
        return cls(sum(value >= bound for value in values), len(values))

    @classmethod
    def of_clusters(cls, clusters: Sequence[Sequence[float]]) -> Proportion:
        """Cases (0 to 1) that share their luck with those of their cluster (Korn and Graubard 1998).

        Where all cases are alike, nothing tells how much they share: then each cluster is one case.
        """
        hits, totals = np.array([sum(each) for each in clusters]), np.array([len(each) for each in clusters])
        total, count = int(totals.sum()), len(clusters)
        value = hits.sum() / total
        spread = count / max(count - 1, 1) * ((hits - value * totals) ** 2).sum() / total**2
        independent = value * (1 - value) / spread if spread > 0 else count
        return cls(float(hits.sum()), total, float(min(independent, total)))

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.hits / self.total

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided Clopper-Pearson interval (Biometrika 1934) of as many cases as are independent.

        Exact where cases count wholly or not at all; too wide where they count in part, for then they vary less.
        """
        total = self.total if self.independent is None else self.independent
        hits, tail = self.value * total, (1 - level) / 2
        low = beta.ppf(tail, hits, total - hits + 1) if self.hits else 0.0
        high = beta.ppf(1 - tail, hits + 1, total - hits) if self.hits < self.total else 1.0
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
        hits = f"{self.hits:,.1f}".removesuffix(".0")
        return f"{self.value:.1%} ({hits} of {self.total:,}; 95 % interval {low:.1%} to {high:.1%})"
