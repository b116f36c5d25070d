"""Supervised losses. One class per loss, told apart by ``name``."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.base import refuse_idle
from ssl_pcb.config.loss_section import LossSection
from ssl_pcb.config.margin_losses import (
    L2ConstrainedSoftmaxConfig,
    LargeMarginSoftmaxConfig,
    LDAMConfig,
    TemperatureConfig,
)


class CrossEntropyConfig(LossSection):
    """Cross entropy."""

    name: Literal["cross_entropy"] = Field("cross_entropy", description="softmax cross entropy")
    class_weights: Literal["none", "balanced", "effective_number"] = Field(
        "none",
        description="balanced = each class weighs the inverse of its share among the samples as drawn; "
        "effective_number = of how many distinct ones they stand for (Cui et al. 2019), between none and balanced",
    )
    beta: float = Field(
        0.999,
        gt=0,
        lt=1,
        description="effective_number: the nearer to 1, the nearer to balanced; 1 - 1 / distinct ones",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each label that is spread evenly over both classes"
    )

    @model_validator(mode="after")
    def _beta_is_used(self) -> "CrossEntropyConfig":
        acts = self.class_weights == "effective_number"
        refuse_idle(self, "beta", "class_weights=effective_number", acts=acts)
        return self

    @property
    def by_counts(self) -> bool:
        """With class weights."""
        return self.class_weights != "none"


class FocalConfig(LossSection):
    """Focal loss (Lin et al. 2017, arXiv 1708.02002)."""

    name: Literal["focal"] = Field("focal", description="cross entropy that counts what is already right for little")
    gamma: float = Field(2.0, ge=0, description="how little: 0 = cross entropy; else at least 1")
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="weight of Defective, and 1 less that of NonDefective; none = both 1"
    )

    @model_validator(mode="after")
    def _has_a_gradient(self) -> "FocalConfig":
        if 0 < self.gamma < 1:
            raise ValueError(
                "gamma between 0 and 1 has no gradient where a prediction is perfect; set 0, or 1 and more"
            )
        return self


class LogitAdjustedConfig(LossSection):
    """Logit adjustment (Menon et al. 2021, arXiv 2007.07314)."""

    name: Literal["logit_adjusted"] = Field(
        "logit_adjusted",
        description="cross entropy of logits plus the log of the classes' shares, so that the bare logits treat both "
        "classes alike",
    )
    tau: float = Field(1.0, ge=0, description="how strongly; 0 = cross entropy")

    @property
    def by_counts(self) -> bool:
        """Always."""
        return True


class ClassRatioConfig(LossSection):
    """Soft Dice overlap of values times class ratios (Sudre et al. 2017, arXiv 1707.03237)."""

    name: Literal["class_ratio"] = Field(
        "class_ratio",
        description="overlap of predicted and true class values, those of the rarer class magnified by its ratio",
    )
    posthoc: bool = Field(
        True, description="multiply predictions by the same ratios; changes no ranking, but how sure they sound"
    )
    swapped: bool = Field(
        False, description="give each class the other's ratio: an error once made, kept to compare with"
    )

    @property
    def by_counts(self) -> bool:
        """Always."""
        return True


class SupConConfig(LossSection):
    """Supervised contrastive learning (Khosla et al. 2020, arXiv 2004.11362)."""

    one_class: ClassVar[bool] = True
    name: Literal["supcon"] = Field(
        "supcon", description="samples of one class are pulled together and pushed from the other's"
    )
    mode: Literal["two_stage", "joint"] = Field(
        "two_stage",
        description="two_stage = the network learns by contrast alone, and the last layer by cross entropy on its "
        "features; joint = the network learns by both",
    )
    weight: float = Field(0.5, gt=0, lt=1, description="joint: weight of the contrast; cross entropy has the rest")
    temperature: float = Field(0.1, gt=0, description="of the contrast: the lower, the more the nearest samples count")
    output_dim: int = Field(128, ge=2, description="numbers of the projection in which samples are compared")
    views: Literal[1, 2] = Field(2, description="random views of each sample in a batch; 2 double the cost of a step")

    @model_validator(mode="after")
    def _weight_is_used(self) -> "SupConConfig":
        refuse_idle(self, "weight", "mode=joint", acts=self.mode == "joint")
        return self


LossConfig = Annotated[
    CrossEntropyConfig
    | FocalConfig
    | LogitAdjustedConfig
    | ClassRatioConfig
    | LargeMarginSoftmaxConfig
    | L2ConstrainedSoftmaxConfig
    | TemperatureConfig
    | LDAMConfig
    | SupConConfig,
    Field(discriminator="name"),
]
