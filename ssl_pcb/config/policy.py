"""What supervised training does to a sample."""

from typing import Annotated

from pydantic import Field

from ssl_pcb.config.augment import NoAugmentConfig, StandardConfig, SymmetriesConfig
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig
from ssl_pcb.config.operations import MOVING, AugMixConfig, RandAugmentConfig
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


def refuse_moved_edges(augment: AugmentConfig, context: int) -> None:
    """Refuse to move a tile's edge within what is seen around it: a neighbour's defect would get the tile's label.

    Args:
        augment: What training does to a tile.
        context: Pixels that are seen around it on each side.

    Raises:
        ValueError: If it would, unless surroundings are asked for.
    """
    if not context:
        return
    geometry = augment.view.geometry
    if not geometry.exact and not geometry.surroundings:
        raise ValueError(
            "augment.view.geometry: within data.context a turned, moved or smaller tile lets neighbours' defects into "
            "its place, under its label; set rotation, translation and shrink to 0 there (augment.name=symmetries has "
            "them so), or surroundings=true to accept that"
        )
    if isinstance(augment, AugMixConfig | RandAugmentConfig):
        for operation in augment.operations:
            if operation in MOVING:
                raise ValueError(
                    f"augment.operations: within data.context {operation} lets neighbours' defects into a tile's "
                    "place, under its label; leave it out"
                )


def needs_boxes(augment: AugmentConfig) -> bool:
    """Whether labels follow where the defects lie."""
    return isinstance(augment, CutMixConfig) and augment.labels == "defect_aware"
