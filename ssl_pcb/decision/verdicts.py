"""Three verdicts from two thresholds: OK, NG, and REVIEW for what lies between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.decision.checks import checked_scores
from ssl_pcb.errors import UserError

VERDICTS = ("OK", "REVIEW", "NG")


@dataclass(frozen=True)
class ThreeWay:
    """Scores below ``low`` are OK, of at least ``high`` NG, and others go to a person.

    Attributes:
        low: What escapes lies below it.
        high: What is stopped without a look lies at or above it; at least ``low``. Equal ones leave no review.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low <= self.high):
            raise UserError(f"thresholds: {self.low:g} and {self.high:g} are not two ascending numbers")

    @classmethod
    def of_budgets(cls, escapes: float, false_calls: float) -> ThreeWay:
        """From the threshold that keeps an escape budget and the one that keeps a false-call budget.

        Where the first is the higher one, it keeps both, and nothing is left to review.
        """
        return cls(escapes, max(escapes, false_calls))

    def verdicts(self, scores: ArrayLike, unfamiliar: ArrayLike | None = None) -> NDArray[np.str_]:
        """One of :data:`VERDICTS` for each score (N,).

        Args:
            scores: Higher = more likely Defective.
            unfamiliar: (N,) bool, of what is unlike all training images: a person looks at it, unless it is NG anyway.
        """
        values = checked_scores(scores)
        places = (values >= self.low).astype(int) + (values >= self.high)
        if unfamiliar is not None:
            places = np.where(np.asarray(unfamiliar) & (places == 0), 1, places)
        verdicts: NDArray[np.str_] = np.array(VERDICTS)[places]
        return verdicts


def at_defect_rate(shares: tuple[float, float], defect_rate: float) -> float:
    """A share of all samples, from its shares among the (NonDefective, Defective) ones, at a rate of defects."""
    good, defective = shares
    return (1 - defect_rate) * good + defect_rate * defective
