"""Optimisers and their schedule."""

from typing import Annotated, Literal

from pydantic import Field

from ssl_pcb.config.base import Section


class AdamWConfig(Section):
    """AdamW (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = Field("adamw", description="AdamW")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay; none on biases and norms")


class LARSConfig(Section):
    """LARS (You et al. 2017, arXiv 1708.03888), SimCLR's optimiser for large batches."""

    name: Literal["lars"] = Field("lars", description="LARS with momentum")
    lr: float = Field(0.3, gt=0, description="peak learning rate per 256 samples of batch")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum")
    weight_decay: float = Field(1e-6, ge=0, description="weight decay; none on biases and norms")


OptimizerConfig = Annotated[AdamWConfig | LARSConfig, Field(discriminator="name")]


class TrainingConfig(Section):
    """Length of the training and its learning-rate curve: linear warm-up, then cosine to zero."""

    epochs: int = Field(20, ge=1, description="passes over what the sampler shows")
    batch_size: int = Field(128, ge=2, description="samples per step, over all processes together")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps spent warming up")
