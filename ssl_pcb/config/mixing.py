"""Augmentations that put two pictures of a batch together."""

from typing import ClassVar, Literal

from pydantic import Field

from ssl_pcb.config.augment import SUPERVISED_VIEW, AugmentSection, ViewConfig


class CutMixConfig(AugmentSection):
    """CutMix (Yun et al. 2019, arXiv 1905.04899)."""

    relabels: ClassVar[bool] = True
    name: Literal["cutmix"] = Field("cutmix", description="a rectangle of another picture of the batch is pasted in")
    probability: float = Field(
        0.5, gt=0, le=1, description="threshold t below which a number drawn for each batch must lie for it to be mixed"
    )
    alpha: float = Field(1.0, gt=0, description="of the Beta(alpha, alpha) that draws the pasted share of the area")
    labels: Literal["area", "kept", "defect_aware"] = Field(
        "defect_aware",
        description="area = both pictures' labels by their shares of the area; kept = that of the picture which is "
        "pasted into; defect_aware = Defective where at least half of a defect's box is seen, from either picture",
    )
    view: ViewConfig = Field(SUPERVISED_VIEW, description="how a sample is shown before it is mixed")

    @property
    def two_labels(self) -> bool:
        """Where labels follow the area."""
        return self.labels == "area"


class MixUpConfig(AugmentSection):
    """mixup (Zhang et al. 2018, arXiv 1710.09412)."""

    relabels: ClassVar[bool] = True
    name: Literal["mixup"] = Field("mixup", description="pictures of a batch and their labels are blended in pairs")
    probability: float = Field(
        1.0, gt=0, le=1, description="threshold t below which a number drawn for each batch must lie for it to be mixed"
    )
    alpha: float = Field(0.2, gt=0, description="of the Beta(alpha, alpha) that draws a picture's share of the blend")
    view: ViewConfig = Field(SUPERVISED_VIEW, description="how a sample is shown before it is mixed")

    @property
    def two_labels(self) -> bool:
        """Always."""
        return True
