"""The augmentation that paints defects."""

from typing import ClassVar, Literal

from pydantic import Field

from ssl_pcb.config.augment import SUPERVISED_VIEW, AugmentSection, ViewConfig
from ssl_pcb.config.defects import DefectConfig

ALONG_THE_PATTERN = DefectConfig(generators=("break", "bridge", "nick", "spur", "pin_hole", "island"), null_share=0.5)


class PaintedConfig(AugmentSection):
    """Synthetic defects among the real ones (after CutPaste: Li et al. 2021, arXiv 2104.04015)."""

    relabels: ClassVar[bool] = True
    name: Literal["painted"] = Field(
        "painted", description="a synthetic defect is painted on a picture, and a good one with it is Defective"
    )
    defect: DefectConfig = Field(ALONG_THE_PATTERN, description="what is painted, and on how many")
    view: ViewConfig = Field(SUPERVISED_VIEW, description="how a sample is shown")
