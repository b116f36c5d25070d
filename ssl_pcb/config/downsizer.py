"""A learned downsizer in place of interpolation."""

from typing import Literal

from pydantic import Field

from ssl_pcb.config.base import Section
from ssl_pcb.config.model import BackboneConfig


class DownsizerConfig(Section):
    """The first stages of a pretrained encoder turn a large image into a small map, on which the classifier works."""

    checkpoint: str = Field(
        "none",
        description="run folder of an autoencoder (or of any pretraining), a weights file, auto (as for --checkpoint), "
        "or none = untrained",
    )
    backbone: BackboneConfig | None = Field(
        None, description="network of the checkpoint; none = as the run folder says, else as the classifier's"
    )
    stride: Literal[4, 8] = Field(4, description="image pixels per step of the map")
    channels: int = Field(8, ge=1, description="channels of the map as the classifier sees it")
    frozen: bool = Field(True, description="leave the encoder's stages as they are")
