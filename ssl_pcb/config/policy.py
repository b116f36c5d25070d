"""What supervised training does to a sample."""

from typing import Annotated

from pydantic import Field

from ssl_pcb.config.augment import NoAugmentConfig, StandardConfig, SymmetriesConfig
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig
from ssl_pcb.config.operations import AugMixConfig, RandAugmentConfig
from ssl_pcb.config.painting import PaintedConfig

AugmentConfig = Annotated[
    NoAugmentConfig
    | SymmetriesConfig
    | StandardConfig
    | CutMixConfig
    | MixUpConfig
    | AugMixConfig
    | RandAugmentConfig
    | PaintedConfig,
    Field(discriminator="name"),
]


def needs_boxes(augment: AugmentConfig) -> bool:
    """Whether labels follow where the defects lie."""
    return isinstance(augment, CutMixConfig) and augment.labels == "defect_aware"
