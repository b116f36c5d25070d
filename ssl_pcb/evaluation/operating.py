"""What two thresholds do to a set of labelled samples, by sample, image and board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.data.manifest import LABELS, UNTILED
from ssl_pcb.decision.verdicts import ThreeWay, at_defect_rate
from ssl_pcb.evaluation.bootstrap import real_boards
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
        by_board: Escapes and false calls of each board; of none where boards are unknown.
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


def classes_of_images(frame: pd.DataFrame) -> NDArray[np.int64]:
    """(N,) 1 where a sample is Defective, or its image has a defect that no tile shows; see :func:`operate`."""
    untiled = frame[UNTILED].fillna("").ne("") if UNTILED in frame else False
    return np.where(frame["label"].eq(LABELS[1]) | untiled, 1, 0)


def operate(
    frame: pd.DataFrame, verdicts: ThreeWay, unit: str, defect_rate: float, *, resamples: int = 1000, seed: int = 0
) -> Operating:
    """Count what the verdicts do.

    An image or a board is Defective if one of its samples is, or a defect of it lies in no tile, and is called what its
    most suspicious sample is.

    Args:
        frame: A row a sample: ``score``, ``label``, ``path``, ``group``, ``types``; of those that are true in a column
            ``unfamiliar``, if there is one, none is OK; in a column ``untiled_boxes``, if there is one, the image's
            boxes that no tile shows.
        verdicts: The two thresholds.
        unit: What a sample is: ``tile`` or ``image``.
        defect_rate: Share of Defective samples in the field.
        resamples: Bootstrap draws.
        seed: Of the draws.

    Raises:
        UserError: On NaN scores or unlabelled samples.
    """
    scores, labels = frame["score"].to_numpy(float), np.where(frame["label"].eq(LABELS[1]), 1, 0)
    unfamiliar = frame["unfamiliar"].to_numpy(bool) if "unfamiliar" in frame else np.zeros(len(frame), bool)
    looked_at = np.where(unfamiliar, np.maximum(scores, verdicts.low), scores)  # they cannot escape
    holding = classes_of_images(frame)
    boards, images = frame["group"].tolist(), frame["path"].tolist()
    units = {unit: [*map(str, range(len(frame)))]}
    if unit == "tile":
        units["image"] = images
    if real_boards(boards):
        units["board"] = boards
    known = units.get("board", [""] * len(frame))
    rates = {}
    for name, members in units.items():
        highest, classes = by_name(scores, labels if name == unit else holding, members)
        watched, _ = by_name(looked_at, labels, members)
        first = np.unique(members, return_index=True)[1]
        of = [boards[number] for number in first], [images[number] for number in first]
        escape, _ = rates_at(watched, classes, verdicts.low, *of, resamples=resamples, seed=seed)
        _, false_call = rates_at(highest, classes, verdicts.high, *of, resamples=resamples, seed=seed)
        rates[name] = escape, false_call
    called = verdicts.verdicts(scores, unfamiliar)
    shares = tuple(float(np.mean(called[labels == label] == "REVIEW")) for label in (0, 1) if (labels == label).any())
    reviewed = verdicts.low < verdicts.high or "unfamiliar" in frame
    review = 1000 * at_defect_rate((shares[0], shares[-1]), defect_rate) if reviewed else None
    tiles = int(frame.groupby("path").size().median()) if unit == "tile" else 1
    return Operating(
        unit, rates, tiles, review, defect_rate,
        *(errors_by_name(called, labels, names) for names in (known, frame["types"].tolist())),
    )  # fmt: skip
