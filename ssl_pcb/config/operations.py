"""Augmentations made of single operations, each at a level from 0 (none) to 10 (the strongest)."""

from typing import Literal

from pydantic import Field, field_validator

from ssl_pcb.config.augment import ONLY_SYMMETRIES, AugmentSection, ViewConfig

Operation = Literal[
    "autocontrast", "brightness", "contrast", "color", "sharpness", "rotate_inside", "shear_inside",
    "equalize", "posterize", "solarize", "rotate", "shear_x", "shear_y", "translate_x", "translate_y",
]  # fmt: skip
"""The papers' operations, and two of the same kind that shrink the picture so that all of it stays in view."""

MOVING: tuple[Operation, ...] = (
    "rotate_inside", "shear_inside", "rotate", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
"""Those that put a sample's edge elsewhere in the picture."""

LIGHT: tuple[Operation, ...] = ("autocontrast", "brightness", "contrast", "color", "sharpness")
"""Those of light that keep a defect's contrast at the levels that are drawn."""

STRONGEST, LEAST_LEVEL = 10, 0.1
"""Highest level of an operation, and the lowest that AugMix draws."""

OPERATIONS = (
    "rotate, shear_x, shear_y, translate_x and translate_y can push a defect out of view, and equalize, posterize and "
    "solarize can wipe it out: they act only if named"
)


class AugMixConfig(AugmentSection):
    """AugMix (Hendrycks et al. 2020, arXiv 1912.02781)."""

    name: Literal["augmix"] = Field(
        "augmix", description="blends of changed copies, held to the clean picture by a Jensen-Shannon loss"
    )
    width: int = Field(3, ge=1, le=10, description="chains of operations that are blended into a copy")
    depth: int = Field(3, ge=1, le=10, description="most operations in a chain, which has 1 to so many")
    severity: float = Field(
        3.0, ge=LEAST_LEVEL, le=STRONGEST, description="highest level of an operation, which has 0.1 to so much"
    )
    alpha: float = Field(
        1.0, gt=0, description="of the Dirichlet that draws the chains' weights and the Beta that draws the clean share"
    )
    copies: int = Field(3, le=8, description="of each picture: the clean one and the changed ones, at least 2 of these")
    consistency: float = Field(12.0, ge=0, description="weight lambda of the Jensen-Shannon loss over the copies")
    operations: tuple[Operation, ...] = Field(LIGHT, min_length=1, description=f"what a chain is made of; {OPERATIONS}")
    view: ViewConfig = Field(ONLY_SYMMETRIES, description="how a sample is shown before it is copied")

    @field_validator("copies")
    @classmethod
    def _enough_copies(cls, copies: int) -> int:
        if copies < 3:
            raise ValueError("the Jensen-Shannon loss compares the clean picture with two changed ones; set 3 or more")
        return copies


class RandAugmentConfig(AugmentSection):
    """RandAugment (Cubuk et al. 2020, arXiv 1909.13719)."""

    name: Literal["randaugment"] = Field("randaugment", description="a few random operations, one after the other")
    count: int = Field(2, ge=1, le=10, description="operations on a picture")
    magnitude: float = Field(
        3.0, gt=0, le=STRONGEST, description="level of every operation; 3 is torchvision's 9 of 30"
    )
    operations: tuple[Operation, ...] = Field(
        (*LIGHT, "rotate_inside", "shear_inside"),
        min_length=1,
        description=f"what may happen to a picture; {OPERATIONS}",
    )
    view: ViewConfig = Field(ONLY_SYMMETRIES, description="how a sample is shown before")
