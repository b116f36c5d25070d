"""Optimisers, the learning-rate curve, and gradient clipping."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.base import Section


class AdamWConfig(Section):
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101)."""

    name: Literal["adamw"] = Field("adamw", description="AdamW")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay; none on biases and norms")


class AdamConfig(Section):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980)."""

    name: Literal["adam"] = Field("adam", description="Adam, whose weight decay is an L2 term of the loss")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(
        1e-4,
        ge=0,
        description="L2 term of the loss: Adam rescales it with the gradient, AdamW does not; none on biases and norms",
    )


class SGDConfig(Section):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = Field("sgd", description="stochastic gradient descent with momentum")
    lr: float = Field(1e-2, gt=0, description="peak learning rate, whatever the batch size")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum")
    nesterov: bool = Field(True, description="Nesterov's momentum")
    weight_decay: float = Field(1e-4, ge=0, description="L2 term of the loss; none on biases and norms")
    decay_all: bool = Field(
        False, description="weight decay on biases and norms too, as the code of the ResNet and DenseNet papers has it"
    )

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "SGDConfig":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs momentum; set momentum above 0, or nesterov=false")
        return self


class LARSConfig(Section):
    """LARS (You et al. 2017, arXiv 1708.03888), SimCLR's optimiser for large batches."""

    name: Literal["lars"] = Field("lars", description="LARS with momentum")
    lr: float = Field(0.3, gt=0, description="peak learning rate per 256 samples of batch")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum")
    # Lightly adapts the rates of decayed weights only: at 0 it would silently be SGD.
    weight_decay: float = Field(1e-6, gt=0, description="weight decay; none on biases and norms")


OptimizerConfig = Annotated[AdamWConfig | AdamConfig | SGDConfig | LARSConfig, Field(discriminator="name")]


class CosineConfig(Section):
    """Half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

    name: Literal["cosine"] = Field("cosine", description="half a cosine from the peak to zero")


class StepConfig(Section):
    """Drops between epochs."""

    name: Literal["step"] = Field("step", description="the peak, multiplied by factor at each milestone")
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.5, 0.75), min_length=1, description="shares of the epochs after which the rate drops; at the next whole one"
    )
    factor: float = Field(0.1, gt=0, lt=1, description="what each drop multiplies the rate by")

    @model_validator(mode="after")
    def _ascending(self) -> "StepConfig":
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must ascend, each once, as in [0.5, 0.75]")
        return self


class ConstantConfig(Section):
    """The peak throughout."""

    name: Literal["constant"] = Field("constant", description="the peak to the end")


ScheduleConfig = Annotated[CosineConfig | StepConfig | ConstantConfig, Field(discriminator="name")]


class NoClipConfig(Section):
    """Gradients as they are."""

    name: Literal["none"] = Field("none", description="gradients as they are")


class NormClipConfig(Section):
    """All gradients by one factor (Pascanu et al. 2013, arXiv 1211.5063)."""

    name: Literal["norm"] = Field("norm", description="all gradients shrunk alike where their common norm is too large")
    max_norm: float = Field(1.0, gt=0, description="largest common norm; the log has the norm before, gradient_norm")


class AdaptiveClipConfig(Section):
    """Each unit's gradient by its weights (Brock et al. 2021, arXiv 2102.06171)."""

    name: Literal["adaptive"] = Field(
        "adaptive",
        description="each unit's gradient shrunk where it is too large for its weights, but for the last layer; "
        "made for networks without normalisation (nf_*, *nfnet*)",
    )
    factor: float = Field(0.01, gt=0, description="largest norm of a gradient, as a share of that of the weights")


ClipConfig = Annotated[NoClipConfig | NormClipConfig | AdaptiveClipConfig, Field(discriminator="name")]


class TrainingConfig(Section):
    """Length of the training, its learning-rate curve, and what is done to its gradients."""

    epochs: int = Field(20, ge=0, description="passes over what the sampler shows; 0 = none, see head_start")
    batch_size: int = Field(128, ge=2, description="samples per step, over all processes together")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps in which the rate rises to its peak")
    schedule: ScheduleConfig = Field(CosineConfig(), description="learning rate after the warm-up")
    clip: ClipConfig = Field(NoClipConfig(), description="gradient clipping")

    @model_validator(mode="after")
    def _warm_before_it_drops(self) -> "TrainingConfig":
        if isinstance(self.schedule, StepConfig) and self.warmup > self.schedule.milestones[0]:
            raise ValueError(
                f"warmup={self.warmup:g} ends after the first milestone of schedule ({self.schedule.milestones[0]:g}); "
                "lower it, or set a later milestone"
            )
        return self

    @model_validator(mode="after")
    def _drops_before_the_end(self) -> "TrainingConfig":
        if isinstance(self.schedule, StepConfig) and self.epochs - 1 < self.schedule.milestones[0] * self.epochs:
            raise ValueError(
                f"schedule: step drops the rate between epochs, and of {self.epochs} none ends between its first "
                f"milestone ({self.schedule.milestones[0]:g}) and the end; set more epochs, an earlier milestone, or "
                "schedule.name=constant"
            )
        return self
