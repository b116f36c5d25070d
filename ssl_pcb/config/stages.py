"""The complete config of each stage: what a YAML file in ``configs/`` holds."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.augment import StandardConfig, ViewConfig
from ssl_pcb.config.base import Section
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.loss import CrossEntropyConfig, LossConfig
from ssl_pcb.config.method import MethodConfig, SimCLRConfig
from ssl_pcb.config.model import BackboneConfig, HeadConfig, LinearHeadConfig
from ssl_pcb.config.optim import AdamWConfig, OptimizerConfig, TrainingConfig
from ssl_pcb.config.policy import AugmentConfig, refuse_two_labels
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.config.sampler import NaturalConfig, SamplerConfig

CHECKPOINT = (
    "a run folder (whose network is taken, unless backbone keys are given), a weights file, or 'none'; auto = the "
    "newest compatible finished pretraining run"
)

COMPILE = (
    "compile the network with torch.compile, on a GPU into CUDA graphs; takes a minute or more, needs a C++ compiler, "
    "and gained nothing on CPUs"
)

TEST_BALANCE = (
    "what the reports count: all samples, or as many of either class, drawn from the larger one by the seed; "
    "thresholds are chosen on all either way"
)

PROFILE = "write where a step's time goes into the run folder: profile.md"


class PretrainConfig(Section):
    """Self-supervised pretraining on the images of the training boards, labelled or not."""

    data: DataConfig = Field(DataConfig(), description="images")
    shards: str | None = Field(
        None,
        description="tar shards to stream instead of data.manifest: an index.json from 'ssl-pcb data shards', a "
        "pattern, a .txt list, or one .tar; local or https. Of the data keys image_size, channels, bit_depth and "
        "max_pixels apply; the ring is the shards' own, skip_bad is refused",
    )
    shard_workers: int = Field(
        0, ge=0, description="processes that read and decode shards; 0 = threads of the training process"
    )
    use_unsplit: bool = Field(
        False, description="also take unlabelled images that have no split (nobody vouches for their boards)"
    )
    view: ViewConfig = Field(ViewConfig(), description="how the two views of a sample are made")
    backbone: BackboneConfig = Field(BackboneConfig(), description="network")
    method: MethodConfig = Field(SimCLRConfig(), description="self-supervised method")
    checkpoint: str = Field("none", description="weights to start from: a run folder, a weights file, or 'none'")
    optimizer: OptimizerConfig = Field(AdamWConfig(), description="optimiser")
    training: TrainingConfig = Field(TrainingConfig(epochs=20), description="length and learning-rate curve")
    monitor_every: int = Field(
        5, ge=1, description="epochs between looks at the representation (kNN, spread, effective rank)"
    )
    monitor_samples: int = Field(2000, ge=16, description="most samples that such a look reads of each side")
    profile: bool = Field(False, description=PROFILE)
    compile: bool = Field(False, description=COMPILE)
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="device and records")

    @model_validator(mode="after")
    def _golden_images_have_a_use(self) -> "PretrainConfig":
        if not self.data.references:
            return self
        if self.shards is not None:
            raise ValueError("data.references: shards hold no golden images; name a manifest with --data instead")
        if not isinstance(self.method, SimCLRConfig) or self.method.hard_negatives != "none":
            raise ValueError(
                "data.references: golden images are compared by --method simclr without hard negatives alone; choose "
                "that, or leave --references out"
            )
        return self


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
    sampler: SamplerConfig = Field(NaturalConfig(), description="what an epoch of the gradient head shows")
    loss: LossConfig = Field(CrossEntropyConfig(), description="loss of the gradient head")
    optimizer: OptimizerConfig = Field(AdamWConfig(lr=3e-3), description="optimiser of the gradient head")
    training: TrainingConfig = Field(
        TrainingConfig(epochs=30, batch_size=256), description="length of the gradient head's training"
    )
    test: bool = Field(False, description="also evaluate the test split; each look is recorded in the ledger")
    test_balance: Literal["natural", "balanced"] = Field("natural", description=TEST_BALANCE)
    resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="device and records")

    @model_validator(mode="after")
    def _sampler_fits(self) -> "LinearEvalConfig":
        if self.sampler.name == "oversample_hflip":
            raise ValueError("sampler: oversample_hflip mirrors pixels, and these heads see features; set oversample")
        _refuse_odd_batch(self.sampler, self.training)
        return self


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
        description="where the linear head begins: at random, or as the logistic probe of the start weights' features",
    )
    head: HeadConfig = Field(LinearHeadConfig(), description="from the network's features to the classes")
    sampler: SamplerConfig = Field(NaturalConfig(), description="which training samples an epoch shows")
    loss: LossConfig = Field(CrossEntropyConfig(), description="supervised loss")
    optimizer: OptimizerConfig = Field(AdamWConfig(), description="optimiser")
    training: TrainingConfig = Field(
        TrainingConfig(epochs=30, batch_size=32), description="length and learning-rate curve"
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

    @model_validator(mode="after")
    def _sampler_fits(self) -> "SupervisedConfig":
        _refuse_odd_batch(self.sampler, self.training)
        return self

    @model_validator(mode="after")
    def _labels_fit(self) -> "SupervisedConfig":
        refuse_two_labels(self.augment, self.loss.name)
        return self


class FinetuneConfig(SupervisedConfig):
    """End-to-end supervised training, from a checkpoint or from scratch."""

    checkpoint: str = Field("auto", description=CHECKPOINT)
    transductive: bool = Field(False, description="accept a checkpoint that saw the validation or test boards; marked")
    select: Literal["auroc", "average_precision", "last"] = Field(
        "average_precision", description="validation measure that chooses the best epoch; last = the last one is kept"
    )
    test: bool = Field(False, description="also evaluate the test split; each look is recorded in the ledger")


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


def _refuse_odd_batch(sampler: SamplerConfig, training: TrainingConfig) -> None:
    if sampler.name == "balanced_batch" and training.batch_size % 2:
        raise ValueError(
            f"training.batch_size: {training.batch_size} has no halves for balanced_batch; set an even number"
        )


StageConfig = PretrainConfig | LinearEvalConfig | FinetuneConfig | CrossvalConfig

STAGES: dict[str, type[StageConfig]] = {
    "pretrain": PretrainConfig,
    "linear-eval": LinearEvalConfig,
    "finetune": FinetuneConfig,
    "crossval": CrossvalConfig,
}
