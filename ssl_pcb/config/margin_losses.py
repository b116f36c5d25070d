"""Supervised losses that set the length of features or weights, the scale of logits, or ask for a margin."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.base import refuse_idle
from ssl_pcb.config.loss_section import LossSection


class LargeMarginSoftmaxConfig(LossSection):
    """L-Softmax (Liu et al. 2016, arXiv 1612.02295)."""

    one_class: ClassVar[bool] = True
    name: Literal["large_margin_softmax"] = Field(
        "large_margin_softmax",
        description="cross entropy in which the angle to the own class counts several times",
    )
    margin: Literal[1, 2, 3, 4] = Field(2, description="how many times: m; 1 = cross entropy")
    lambda_start: float = Field(
        1000.0, gt=0, description="weight of the plain logit beside the margin's weight of 1, at first"
    )
    lambda_end: float = Field(1.0, gt=0, description="that weight in the end; near 0 = the margin alone")
    anneal_steps: int = Field(500, ge=1, description="steps in which it falls, by the same factor in each")

    @model_validator(mode="after")
    def _falls(self) -> "LargeMarginSoftmaxConfig":
        if self.lambda_end > self.lambda_start:
            raise ValueError(f"lambda_end={self.lambda_end:g} lies above lambda_start; set it to at most that")
        return self


class L2ConstrainedSoftmaxConfig(LossSection):
    """L2-constrained softmax (Ranjan et al. 2017, arXiv 1703.09507)."""

    name: Literal["l2_constrained_softmax"] = Field(
        "l2_constrained_softmax",
        description="cross entropy of features that all have one length, so that no easy sample gains by a long one",
    )
    alpha: float = Field(16.0, gt=0, description="that length; short ones cannot make a prediction sure")


class TemperatureConfig(LossSection):
    """Cross entropy of logits divided by a temperature (Hinton et al. 2015, arXiv 1503.02531)."""

    name: Literal["temperature"] = Field("temperature", description="cross entropy of logits divided by a temperature")
    temperature: float = Field(
        2.0, gt=0, description="above 1 softens the probabilities, below 1 sharpens them; 1 = cross entropy"
    )
    learned: bool = Field(False, description="learn the temperature with the weights, from that value on")


class LDAMConfig(LossSection):
    """Label-distribution-aware margins (Cao et al. 2019, arXiv 1906.07413)."""

    one_class: ClassVar[bool] = True
    name: Literal["ldam"] = Field(
        "ldam",
        description="cross entropy of cosines in which the own class must win by a margin, the rarer the wider",
    )
    max_margin: float = Field(0.5, ge=0, lt=2, description="margin of the rarest class, in cosine")
    scale: float = Field(30.0, gt=0, description="what the cosines are multiplied by")
    reweight_after: Annotated[int, Field(ge=0)] | None = Field(
        None, description="steps after which classes weigh as in effective_number (the paper's DRW); none = never"
    )
    beta: float = Field(
        0.9999, gt=0, lt=1, description="reweight_after: the nearer to 1, the more the rarer class weighs"
    )

    @model_validator(mode="after")
    def _beta_is_used(self) -> "LDAMConfig":
        refuse_idle(self, "beta", "reweight_after", acts=self.reweight_after is not None)
        return self

    @property
    def by_counts(self) -> bool:
        """Always."""
        return True


OfOneLength = L2ConstrainedSoftmaxConfig | LDAMConfig
"""Those whose last layer brings all features to one length, which no probe does."""
