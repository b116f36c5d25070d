"""Supervised losses. One class per loss, told apart by ``name``."""

from typing import Annotated, Literal

from pydantic import Field

from ssl_pcb.config.base import Section


class CrossEntropyConfig(Section):
    """Cross entropy."""

    name: Literal["cross_entropy"] = Field("cross_entropy", description="softmax cross entropy")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced = each class weighs the inverse of its share among the samples as drawn"
    )


# A union of one cannot have a discriminator; the second loss adds Annotated[... | ..., Field(discriminator="name")].
LossConfig = Annotated[CrossEntropyConfig, Field()]
