"""What two thresholds do to a set of labelled samples, by sample, image and board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ssl_pcb.data.manifest import LABELS
from ssl_pcb.decision.verdicts import ThreeWay, at_defect_rate
from ssl_pcb.evaluation.errors import errors_by_name
from ssl_pcb.evaluation.rates import Rate, by_name, rates_at


@dataclass(frozen=True)
class Operating:
    """Rates of errors, and the load on those who review.

    Attributes:
        unit: What a sample is.
        rates: By unit (``tile``, ``image``, ``board``), the escape rate and the false-call rate. A defect escapes
            where the verdict is OK, and a good sample is falsely called where it is NG.
        tiles_per_image: Median; 1 where samples are whole images.
        review_per_1000: Samples of a thousand that go to a person, at ``defect_rate``; ``None`` without review.
        defect_rate: Share of Defective samples in the field.
        by_board: Escapes and false calls of each board.
        by_type: Of each type of defect.
    """

    unit: str
    rates: dict[str, tuple[Rate, Rate]]
    tiles_per_image: int
    review_per_1000: float | None
    defect_rate: float
    by_board: pd.DataFrame
    by_type: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rates": {unit: {"escape": e.to_dict(), "false_call": f.to_dict()} for unit, (e, f) in self.rates.items()},
            "tiles_per_image": self.tiles_per_image, "review_per_1000": self.review_per_1000,
            "defect_rate": self.defect_rate, "by_board": self.by_board.to_dict("records"),
            "by_type": self.by_type.to_dict("records"),
        }  # fmt: skip


def operate(
    frame: pd.DataFrame, verdicts: ThreeWay, unit: str, defect_rate: float, *, resamples: int = 1000, seed: int = 0
) -> Operating:
    """Count what the verdicts do.

    An image or a board is Defective if one of its samples is, and is called what its most suspicious one is.

    Args:
        frame: A row a sample: ``score``, ``label``, ``path``, ``group``, ``types``.
        verdicts: The two thresholds.
        unit: What a sample is: ``tile`` or ``image``.
        defect_rate: Share of Defective samples in the field.
        resamples: Bootstrap draws.
        seed: Of the draws.

    Raises:
        UserError: On NaN scores or unlabelled samples.
    """
    scores, labels = frame["score"].to_numpy(float), np.where(frame["label"].eq(LABELS[1]), 1, 0)
    boards, images = frame["group"].tolist(), frame["path"].tolist()
    board_of = dict(zip(images, boards, strict=True))
    parts = {unit: (scores, labels, boards, images)}
    if unit == "tile":
        names = sorted(board_of)
        parts["image"] = (*by_name(scores, labels, images), [board_of[name] for name in names], names)
    if "" not in board_of.values():
        names = sorted(set(boards))
        parts["board"] = (*by_name(scores, labels, boards), names, names)
    rates = {}
    for name, (values, classes, groups, paths) in parts.items():
        escape, _ = rates_at(values, classes, verdicts.low, groups, paths, resamples=resamples, seed=seed)
        _, false_call = rates_at(values, classes, verdicts.high, groups, paths, resamples=resamples, seed=seed)
        rates[name] = escape, false_call
    called = verdicts.verdicts(scores)
    shares = tuple(float(np.mean(called[labels == label] == "REVIEW")) for label in (0, 1) if (labels == label).any())
    review = 1000 * at_defect_rate((shares[0], shares[-1]), defect_rate) if verdicts.low < verdicts.high else None
    tiles = int(frame.groupby("path").size().median()) if unit == "tile" else 1
    return Operating(
        unit, rates, tiles, review, defect_rate, errors_by_name(scores, labels, verdicts.low, boards),
        errors_by_name(scores, labels, verdicts.low, frame["types"].tolist()),
    )  # fmt: skip
