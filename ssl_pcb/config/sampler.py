"""Which training samples an epoch shows. One class per sampler, told apart by ``name``."""

from typing import Annotated, Literal

from pydantic import Field

from ssl_pcb.config.base import Section


class NaturalConfig(Section):
    """Every sample once an epoch."""

    name: Literal["natural"] = Field("natural", description="every sample once an epoch, in random order")


class DatasetUndersampleConfig(Section):
    """One fixed balanced subset."""

    name: Literal["dataset_undersample"] = Field(
        "dataset_undersample", description="the minority and one fixed random subset of the majority"
    )
    ratio: float = Field(1.0, ge=1, description="majority samples kept per minority sample")


class EpochUndersampleConfig(Section):
    """A new balanced subset each epoch."""

    name: Literal["epoch_undersample"] = Field(
        "epoch_undersample", description="the minority and a new random subset of the majority each epoch"
    )
    ratio: float = Field(1.0, ge=1, description="majority samples shown per minority sample")


SamplerConfig = Annotated[
    NaturalConfig | DatasetUndersampleConfig | EpochUndersampleConfig, Field(discriminator="name")
]
