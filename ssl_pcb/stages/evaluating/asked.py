"""What ``evaluate`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ssl_pcb.decision.calibrators import Method
from ssl_pcb.decision.operating_point import FalseCallBudget, Rule
from ssl_pcb.evaluation.balance import Balance
from ssl_pcb.reports.operating_lines import asked_for


@dataclass(frozen=True)
class Asked:
    """What ``evaluate`` is asked for.

    Attributes:
        rule: What the threshold is for; ``None`` = the run's own, which has the best balanced accuracy on validation.
        review: The false-call budget of NG, if what lies between it and ``rule`` goes to a person.
        calibration: How scores become probabilities.
        defect_rate: Of the field, for probabilities and the reviewer's load; ``None`` = validation's.
        data: Manifest to report on in place of the run's test split.
        test: Report on the run's test split.
        holdout: Report on the images of training boards that were kept apart.
        unfamiliar: Share of validation samples to count as unlike all training samples; ``None`` = none is.
        gap: Say how far the run falls from training samples to new boards, and why.
        robustness: Measure errors under corruptions of the camera too, into a folder ``robustness`` of its own.
        panels: Judge whole images by overlapping windows too.
        balance: Which of the samples reported on are counted in the rates of errors, see
            :func:`ssl_pcb.evaluation.balance.counted`; thresholds and calibration are of all.
        device: Where to score what the run did not: ``auto``, ``cpu`` or ``cuda``.
        ledger: The project's record of looks at test splits.
        resamples: Bootstrap draws.
        seed: Of the draws.
    """

    rule: Rule | None
    review: FalseCallBudget | None = None
    calibration: Method | Literal["none"] = "platt"
    defect_rate: float | None = None
    data: Path | None = None
    test: bool = False
    holdout: bool = False
    unfamiliar: float | None = None
    gap: bool = False
    robustness: bool = False
    panels: bool = False
    balance: Balance = "natural"
    device: str = "auto"
    ledger: Path = Path("results/test_ledger.csv")
    resamples: int = 1000
    seed: int = 0

    def purpose(self, unit: str) -> str:
        """What the thresholds are for, in words."""
        budgets = [self.rule, *([self.review] if self.review else [])]
        return "; ".join(asked_for(budget, unit) for budget in budgets)

    @property
    def panels_of(self) -> str:
        """What the whole images are of: a manifest, or a split of the run's own."""
        return str(self.data) if self.data else self.split

    @property
    def split(self) -> str:
        """Whose whole images are judged."""
        if self.holdout:
            return "holdout"
        return "test" if self.test or self.data else "val"
