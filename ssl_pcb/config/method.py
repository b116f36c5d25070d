"""Self-supervised methods."""

from typing import Literal

from pydantic import Field

from ssl_pcb.config.base import Section


class SimCLRConfig(Section):
    """SimCLR (Chen et al. 2020, arXiv 2002.05709)."""

    name: Literal["simclr"] = Field("simclr", description="method name")
    temperature: float = Field(0.2, gt=0, le=10, description="temperature of NT-Xent")
    hidden_dim: int = Field(512, ge=1, description="width of the projection head's hidden layer")
    output_dim: int = Field(128, ge=2, description="dimension in which views are compared")
    head_batch_norm: bool = Field(True, description="batch norm inside the projection head")
