"""The network."""

from typing import Literal

from pydantic import Field

from ssl_pcb.config.base import Section


class BackboneConfig(Section):
    """A timm model without its classifier."""

    name: str = Field("resnet18", description="timm model name; networks made for one image size only are refused")
    weights: Literal["none", "timm"] = Field(
        "none",
        description="start weights where no checkpoint is given: none, or timm's download (needs a network)",
    )
    drop_rate: float = Field(0.0, ge=0, lt=1, description="dropout before the pooled features")
    norm: Literal["own", "group", "frozen"] = Field(
        "own",
        description="own = as the network comes (mostly batch norm); group norm instead, which neither ties samples "
        "together nor needs their statistics; or frozen batch norm (for start weights)",
    )
