"""What a classifier must know beside its weights: how images become pixels, and scores verdicts.

It travels inside an exported model, whose text is untrusted: everything is checked when it is read.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from ssl_pcb.config.base import Section
from ssl_pcb.decision.calibration import TemperatureScaling
from ssl_pcb.decision.calibrators import Calibration, Calibrator, IsotonicCalibration, LogOdds, PlattScaling
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.errors import UserError

KEY = "ssl_pcb"
"""Under which an exported model's metadata hold the facts."""

MOST_TEXT = 4_000_000
"""Characters of facts that are read; isotonic calibration has the longest, of some 100,000."""

CALIBRATORS = {
    "temperature": TemperatureScaling,
    "platt": PlattScaling,
    "isotonic": IsotonicCalibration,
    "none": LogOdds,
}

LONGEST = 500
"""Characters of a line of text."""

Line = Annotated[str, Field(max_length=LONGEST)]
Rate = Annotated[float, Field(gt=0, lt=1)]


class CalibrationFacts(Section):
    """From scores to probabilities, as ``evaluation.json`` has it."""

    method: Literal["temperature", "platt", "isotonic", "none"] = Field(description="kind of curve")
    rate: Rate = Field(description="share of Defective samples that it was fitted at")
    parameters: dict[str, Any] = Field(description="of the curve")

    @field_validator("parameters")
    @classmethod
    def _are_numbers(cls, values: dict[str, Any]) -> dict[str, Any]:
        numbers = TypeAdapter(dict[str, float | list[float]]).validate_python(values)
        if not all(np.isfinite(value).all() for value in numbers.values()):
            raise ValueError("not all are finite numbers")
        return dict(numbers)

    @model_validator(mode="after")
    def _make_a_curve(self) -> CalibrationFacts:
        wanted = {field.name for field in fields(CALIBRATORS[self.method])}
        if set(self.parameters) != wanted:
            raise ValueError(f"parameters: {self.method} has {', '.join(sorted(wanted)) or 'none'}")
        made = self.calibrator
        if isinstance(made, IsotonicCalibration):
            corners, values = np.asarray(made.scores), np.asarray(made.values)
            rising = len(corners) == len(values) > 0 and (np.diff(corners) > 0).all() and (np.diff(values) >= 0).all()
            if not rising or values.min() < 0 or values.max() > 1:
                raise ValueError("calibration: isotonic corners must rise, with values between 0 and 1")
        return self

    @property
    def calibrator(self) -> Calibrator:
        """The curve."""
        made: Calibrator = TypeAdapter(CALIBRATORS[self.method]).validate_python(self.parameters)
        return made

    @property
    def calibration(self) -> Calibration:
        """The curve and the rate that it was fitted at."""
        return Calibration(self.calibrator, self.rate)


class Operating(Section):
    """From scores to verdicts and probabilities."""

    low: float = Field(description="scores below are OK")
    high: float = Field(description="scores of at least this are NG; what lies between goes to REVIEW")
    unfamiliar_from: float | None = Field(
        description="distance to the nearest training images from which on an image goes to REVIEW; none = not asked"
    )
    defect_rate: Rate = Field(description="share of such samples that are Defective in the field")
    rate_given: bool | None = Field(
        None, description="whether that share was told by who knows the line, or is validation's; none = not known"
    )
    calibration: CalibrationFacts = Field(description="from scores to probabilities")
    chosen: Line = Field(description="what the thresholds were chosen for")

    @model_validator(mode="after")
    def _ascend(self) -> Operating:
        if self.low > self.high:
            raise ValueError("low: must not be above high")
        return self

    @property
    def verdicts(self) -> ThreeWay:
        """The thresholds."""
        return ThreeWay(self.low, self.high)

    @property
    def reviews(self) -> bool:
        """Whether anything goes to a person."""
        return self.low < self.high or self.unfamiliar_from is not None

    @property
    def of_validation(self) -> bool:
        """Whether the rate is no more than validation's share of Defective, which says nothing of the line's."""
        if self.rate_given is not None:
            return not self.rate_given
        return math.isclose(self.defect_rate, self.calibration.rate)

    @property
    def at_rate(self) -> str:
        """Which rate probabilities are at, in words."""
        share = f"{100 * self.defect_rate:.3g} % Defective"
        if self.of_validation:
            return f"the validation set's {share}, not the line's, which 'ssl-pcb evaluate --defect-rate' takes"
        return f"the line's {share}"

    @property
    def name(self) -> str:
        """Tells these thresholds and this calibration from any others."""
        return hashlib.sha256(self.model_dump_json(exclude={"chosen", "rate_given"}).encode()).hexdigest()[:12]


class ModelFacts(Section):
    """All of it."""

    version: Literal[1] = Field(1, description="of this list")
    model: Annotated[str, Field(pattern=r"^[0-9a-f]{12}(-int8)?$")] = Field(description="tells the weights from others")
    network: Line = Field(description="its name")
    unit: Literal["tile", "image"] = Field(description="what a sample is")
    tile: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        description="side of a tile in pixels of the image; none = whole images were judged"
    )
    image_size: int = Field(ge=1, le=4096, description="side of the square the network sees, in pixels")
    least_side: Annotated[int, Field(ge=1)] | None = Field(
        None, description="shortest side of a training sample in pixels of its image; none = not known"
    )
    most_side: Annotated[int, Field(ge=1)] | None = Field(None, description="the longest one")
    context: int = Field(0, ge=0, le=1024, description="pixels of it on each side that surround the sample itself")
    margin: int = Field(ge=0, le=4096, description="ring around a sample while it is cut out, in pixels")
    channels: Literal[1, 3] = Field(description="1 grey, 3 colour")
    bit_depth: int = Field(ge=8, le=16, description="significant bits of 16-bit images")
    references: bool = Field(description="whether the network sees golden images too")
    max_pixels: int = Field(ge=1, description="larger images are refused")
    marks: tuple[Line, ...] = Field((), description="what must be said with every figure of it")
    operating: Operating = Field(description="from scores to verdicts")

    @model_validator(mode="after")
    def _leave_room(self) -> ModelFacts:
        if 4 * self.context > self.image_size:
            raise ValueError("context: leaves less than half of image_size to the sample itself")
        return self

    @property
    def own(self) -> int:
        """Side of the sample itself in what the network sees, in pixels."""
        return self.image_size - 2 * self.context

    @property
    def least(self) -> float:
        """Samples with a shorter side than this are refused: there are too few pixels in them to judge.

        Half of the shortest side of training; where that is not known, a quarter of what the network sees, or of a
        tile if that is smaller.
        """
        if self.least_side is not None:
            return self.least_side / 2
        return min(self.image_size, self.tile or self.image_size) / 4

    @property
    def most(self) -> float:
        """Samples with a longer side than this are refused: shrunk so far, a defect of training's size is gone."""
        return math.inf if self.most_side is None else 2 * self.most_side

    @property
    def inputs(self) -> int:
        """Channels that the network sees."""
        return self.channels * (2 if self.references else 1)


def read_facts(text: str, source: str) -> ModelFacts:
    """Facts from the JSON that an exported model carries.

    Raises:
        UserError: If they are missing or do not validate.
    """
    try:
        if not 0 < len(text) <= MOST_TEXT:
            raise ValueError("there are none, or far too many")
        return ModelFacts.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{source}: carries no usable facts of ssl-pcb ({reason}); export the run anew")
