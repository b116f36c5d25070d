"""The complete configs of what trains a classifier end to end: finetune, and crossval around it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.augment import StandardConfig
from ssl_pcb.config.base import Section, Words
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.head_checks import (
    refuse_cut_networks,
    refuse_probe_for,
    refuse_several_maps,
    refuse_views_of_a_map,
)
from ssl_pcb.config.loss import CrossEntropyConfig, LossConfig
from ssl_pcb.config.loss_checks import (
    refuse_cut_gradient,
    refuse_equal_views,
    refuse_lonely_anchors,
    refuse_other_counts,
    refuse_probe_in,
    refuse_two_labels,
)
from ssl_pcb.config.meanings import CHECKPOINT, COMPILE, CURVE, PROFILE, TEST_BALANCE
from ssl_pcb.config.model import (
    AuxiliaryConfig,
    BackboneConfig,
    HeadConfig,
    LinearHeadConfig,
    refuse_no_epochs,
    refuse_two_beginnings,
)
from ssl_pcb.config.optim import AdamWConfig, OptimizerConfig, TrainingConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.config.sampler import NaturalConfig, SamplerConfig
from ssl_pcb.config.sampler_checks import refuse_odd_batch


class SupervisedConfig(Section):
    """What trains a classifier end to end, once or once a fold."""

    data: DataConfig = Field(DataConfig(), description="images")
    augment: AugmentConfig = Field(StandardConfig(), description="what training does to a sample before it is shown")
    backbone: BackboneConfig = Field(BackboneConfig(), description="network")
    downsizer: DownsizerConfig | None = Field(
        None,
        description="a learned encoder's first stages shrink the image for the classifier; none = they do not",
    )
    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the labels to use, in training and in choosing the epoch; all judge",
    )
    head_start: Literal["random", "probe"] = Field(
        "random",
        description="where the linear head begins: at random, or as the logistic probe of the start weights' features, "
        "which with training.epochs=0 is the classifier",
    )
    head: HeadConfig = Field(LinearHeadConfig(), description="from the network's features to the classes")
    auxiliary: AuxiliaryConfig | None = Field(
        None, description="a second classifier on an intermediate stage, for training alone; none = it does without"
    )
    sampler: SamplerConfig = Field(NaturalConfig(), description="which training samples an epoch shows")
    loss: LossConfig = Field(CrossEntropyConfig(), description="supervised loss")
    optimizer: OptimizerConfig = Field(AdamWConfig(), description="optimiser")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the next layer's rate at which each layer of the network learns; 1 = all alike",
    )
    freeze: Words = Field(
        (), description="stages of the network to leave as they are, statistics included, as in stem,stage1"
    )
    training: TrainingConfig = Field(TrainingConfig(epochs=30, batch_size=32), description=CURVE)
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="decay of a moving average of the weights, which is judged and kept in their place; rises to it as "
        "1 - steps^(-2/3); none = the weights themselves",
    )
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="optimiser steps an epoch, however few the labels; none = one pass over what the sampler shows",
    )
    test_balance: Literal["natural", "balanced"] = Field("natural", description=TEST_BALANCE)
    resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    profile: bool = Field(False, description=PROFILE)
    compile: bool = Field(False, description=COMPILE)
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="device and records")

    _trains = model_validator(mode="after")(refuse_no_epochs)

    @model_validator(mode="after")
    def _sampler_fits(self) -> "SupervisedConfig":
        refuse_odd_batch(self.sampler, self.training)
        return self

    @model_validator(mode="after")
    def _loss_fits(self) -> "SupervisedConfig":
        refuse_lonely_anchors(self.loss, self.sampler)
        refuse_equal_views(self.loss, self.augment)
        refuse_two_labels(self.loss, self.augment)
        refuse_other_counts(self.loss, self.augment)
        refuse_cut_gradient(self.loss, self.augment)
        if self.head_start == "probe":
            refuse_probe_in(self.loss)
        return self

    @model_validator(mode="after")
    def _head_fits(self) -> "SupervisedConfig":
        if self.head_start == "probe":
            refuse_probe_for(self.head)
        refuse_several_maps(self.head, self.backbone)
        refuse_views_of_a_map(self.head, self.backbone)
        refuse_cut_networks(self.auxiliary, self.backbone, self.downsizer)
        return self

    @model_validator(mode="after")
    def _layers_were_learned(self) -> "SupervisedConfig":
        for key, given in {"freeze": self.freeze, "layer_decay": self.layer_decay < 1}.items():
            if given and self.downsizer is not None:
                raise ValueError(
                    f"{key}: behind a downsizer the network begins at random, and all of it must learn; leave it out "
                    "(downsizer.frozen is about the downsizer's own stages)"
                )
        return self


class FinetuneConfig(SupervisedConfig):
    """End-to-end supervised training, from a checkpoint or from scratch."""

    checkpoint: str = Field("auto", description=CHECKPOINT)
    transductive: bool = Field(False, description="accept a checkpoint that saw the validation or test boards; marked")
    select: Literal["auroc", "average_precision", "last"] = Field(
        "average_precision", description="validation measure that chooses the best epoch; last = the last one is kept"
    )
    patience: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="epochs without a better validation measure after which training stops (the learning-rate curve is "
        "still that of all epochs); none = it does not",
    )
    test: bool = Field(False, description="also evaluate the test split; each look is recorded in the ledger")

    _one_beginning = model_validator(mode="after")(refuse_two_beginnings)

    @model_validator(mode="after")
    def _patience_has_a_measure(self) -> "FinetuneConfig":
        if self.patience is not None and self.select == "last":
            raise ValueError("patience: waits for a better validation measure, and select=last looks at none; set one")
        return self


class CrossvalConfig(SupervisedConfig):
    """The classifier of finetune once a fold, at its last epoch, each judged on boards that it has not seen."""

    checkpoint: str = Field(
        "none",
        description="a weights file, or a pretraining run, which is repeated on each fold's training boards; 'none' = "
        "random weights",
    )
    transductive: bool = Field(
        False, description="take the pretraining run as it is, although it saw the judged boards; marked"
    )
    folds: int = Field(3, ge=2, description="parts, each of which judges once")
    disjoint: Literal["board", "image"] = Field(
        "board", description="what never stands on both sides; image = boards do, and every output is marked so"
    )

    _one_beginning = model_validator(mode="after")(refuse_two_beginnings)

    @model_validator(mode="after")
    def _folds_have_no_runs_yet(self) -> "CrossvalConfig":
        if self.checkpoint == "auto":
            raise ValueError("checkpoint: no run fits a fold, so auto would start at random; name a run, or none")
        return self

    @model_validator(mode="after")
    def _nothing_is_chosen_on_the_judged_fold(self) -> "CrossvalConfig":
        if self.head_start == "probe":
            raise ValueError(
                "head_start: a probe chooses its regularisation on validation samples, which here are the judged fold; "
                "set head_start=random"
            )
        return self
