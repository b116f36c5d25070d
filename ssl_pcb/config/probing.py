"""The complete config of linear-eval."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.base import Section
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.loss import CrossEntropyConfig, LossConfig
from ssl_pcb.config.loss_checks import (
    refuse_lonely_anchors,
    refuse_pixels,
)
from ssl_pcb.config.meanings import CHECKPOINT, CURVE, TEST_BALANCE
from ssl_pcb.config.model import BackboneConfig, refuse_no_epochs, refuse_two_beginnings
from ssl_pcb.config.optim import AdamWConfig, OptimizerConfig, TrainingConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.config.sampler import NaturalConfig, SamplerConfig
from ssl_pcb.config.sampler_checks import refuse_odd_batch


class LinearEvalConfig(Section):
    """Probes on a frozen backbone, with a random-init backbone beside it as the floor."""

    data: DataConfig = Field(DataConfig(), description="images")
    backbone: BackboneConfig = Field(BackboneConfig(), description="network")
    checkpoint: str = Field("auto", description=CHECKPOINT)
    transductive: bool = Field(False, description="accept a checkpoint that saw the validation or test boards; marked")
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.01, 0.1, 1.0), min_length=1, description="shares of the training labels to try"
    )
    cs: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
        min_length=1,
        description="logistic regression's grid of C; chosen on validation",
    )
    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 5, 20, 100), min_length=1, description="numbers of neighbours of the cosine kNN"
    )
    reported_probe: Literal["logistic", "gradient_head"] = Field(
        "logistic", description="probe on all labels that reports, predictions and leaderboards are of"
    )
    sampler: SamplerConfig = Field(NaturalConfig(), description="what an epoch of the gradient head shows")
    loss: LossConfig = Field(CrossEntropyConfig(), description="loss of the gradient head")
    optimizer: OptimizerConfig = Field(AdamWConfig(lr=3e-3), description="optimiser of the gradient head")
    training: TrainingConfig = Field(
        TrainingConfig(epochs=30, batch_size=256), description=f"{CURVE}, of the gradient head's training"
    )
    test: bool = Field(False, description="also evaluate the test split; each look is recorded in the ledger")
    test_balance: Literal["natural", "balanced"] = Field("natural", description=TEST_BALANCE)
    resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="device and records")

    @model_validator(mode="after")
    def _sampler_fits(self) -> "LinearEvalConfig":
        if self.sampler.name == "oversample_hflip":
            raise ValueError("sampler: oversample_hflip mirrors pixels, and these heads see features; set oversample")
        refuse_odd_batch(self.sampler, self.training)
        return self

    @model_validator(mode="after")
    def _loss_fits(self) -> "LinearEvalConfig":
        refuse_pixels(self.loss)
        refuse_lonely_anchors(self.loss, self.sampler)
        return self

    _one_beginning = model_validator(mode="after")(refuse_two_beginnings)
    _trains = model_validator(mode="after")(refuse_no_epochs)

    @model_validator(mode="after")
    def _clipping_has_a_use(self) -> "LinearEvalConfig":
        if self.training.clip.name == "adaptive":
            raise ValueError(
                "training.clip: adaptive leaves the last layer alone, and this head has no other; "
                "set training.clip.name=norm"
            )
        return self
