"""The augmentation that paints defects."""

from typing import ClassVar, Literal

from pydantic import Field

from ssl_pcb.config.augment import ONLY_SYMMETRIES, AugmentSection, ViewConfig
from ssl_pcb.config.defects import ALONG_THE_PATTERN, DefectConfig

SYMMETRIES_AND_SHIFT = ONLY_SYMMETRIES.model_copy(
    update={"geometry": ONLY_SYMMETRIES.geometry.model_copy(update={"misalignment": 1})}
)
"""Of a golden image the network must not ask for more than its pretraining did."""


class PaintedConfig(AugmentSection):
    """Synthetic defects among the real ones (after CutPaste: Li et al. 2021, arXiv 2104.04015)."""

    relabels: ClassVar[bool] = True
    name: Literal["painted"] = Field(
        "painted", description="a synthetic defect is painted on a picture, and a good one with it is Defective"
    )
    defect: DefectConfig = Field(
        DefectConfig(generators=ALONG_THE_PATTERN, null_share=0.5), description="what is painted, and on how many"
    )
    view: ViewConfig = Field(SYMMETRIES_AND_SHIFT, description="how a sample is shown")
