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


class OversampleConfig(Section):
    """The minority repeated."""

    name: Literal["oversample"] = Field(
        "oversample", description="every sample, and the minority again and again, each of it about as often"
    )
    ratio: float = Field(1.0, ge=1, description="majority samples shown per minority sample")


class OversampleHflipConfig(Section):
    """The minority repeated in the mirror."""

    name: Literal["oversample_hflip"] = Field(
        "oversample_hflip", description="as oversample, but the repeated samples are mirrored left to right"
    )
    ratio: float = Field(1.0, ge=1, description="majority samples shown per minority sample")


class WeightedConfig(Section):
    """Drawn with replacement."""

    name: Literal["weighted"] = Field(
        "weighted", description="as many samples as there are, drawn with replacement, both classes equally likely"
    )


class BalancedBatchConfig(Section):
    """Balance in every batch."""

    name: Literal["balanced_batch"] = Field(
        "balanced_batch", description="half of each batch from either class; the minority is repeated for it"
    )


SamplerConfig = Annotated[
    NaturalConfig
    | DatasetUndersampleConfig
    | EpochUndersampleConfig
    | OversampleConfig
    | OversampleHflipConfig
    | WeightedConfig
    | BalancedBatchConfig,
    Field(discriminator="name"),
]
