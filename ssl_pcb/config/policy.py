"""What supervised training does to a sample, and the losses that it does not go with."""

from typing import Annotated

from pydantic import Field

from ssl_pcb.config.augment import NoAugmentConfig, StandardConfig, SymmetriesConfig
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig
from ssl_pcb.config.operations import AugMixConfig, RandAugmentConfig

AugmentConfig = Annotated[
    NoAugmentConfig | SymmetriesConfig | StandardConfig | CutMixConfig | MixUpConfig | AugMixConfig | RandAugmentConfig,
    Field(discriminator="name"),
]

ONE_CLASS_LOSSES = ("large_margin_softmax", "supcon")
"""Losses that ask which one class a sample is of."""


def needs_boxes(augment: AugmentConfig) -> bool:
    """Whether labels follow where the defects lie."""
    return isinstance(augment, CutMixConfig) and augment.labels == "defect_aware"


def refuse_two_labels(augment: AugmentConfig, loss: str) -> None:
    """Refuse pictures of two labels for a loss that takes one.

    Raises:
        ValueError: In one line that names the key and what to change.
    """
    if loss not in ONE_CLASS_LOSSES:
        return
    if isinstance(augment, CutMixConfig) and augment.labels == "area":
        raise ValueError(
            f"augment.labels: area gives a picture two labels, and loss {loss} takes one; set defect_aware or kept, or "
            "another loss"
        )
    if isinstance(augment, MixUpConfig):
        raise ValueError(
            f"augment.name: mixup gives a picture two labels, and loss {loss} takes one; set another, such as cutmix "
            "with augment.labels=defect_aware, or another loss"
        )
