"""The network."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from ssl_pcb.config.base import Section

Stage = TypeVar("Stage", bound=Any)


class BackboneConfig(Section):
    """A timm model without its classifier."""

    name: str = Field("resnet18", description="timm model name; networks made for one image size only are refused")
    weights: Literal["none", "timm"] = Field(
        "none",
        description="start weights where no checkpoint is given: none, or timm's download (needs a network)",
    )
    init: Literal["own", "he"] = Field(
        "own",
        description="random weights that a network without start weights begins with: its own kind's, or he = those of "
        "the ResNet and DenseNet papers (convolutions from He et al.'s normal distribution, norms 1 and 0, biases of "
        "linear layers 0, also of finetune's head)",
    )
    drop_rate: float = Field(0.0, ge=0, lt=1, description="dropout before the pooled features")
    norm: Literal["own", "group", "frozen"] = Field(
        "own",
        description="own = as the network comes (mostly batch norm); group norm instead, which neither ties samples "
        "together nor needs their statistics; or frozen batch norm (for start weights)",
    )
    antialias: bool = Field(
        False,
        description="blur before pixels are skipped (Zhang 2019), so that a shift by a pixel changes features less; "
        "for resnet, resnext, densenet, efficientnet, mobilenet and relatives; costs some time",
    )
    strides: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        description="pool the network's maps of these strides (8 = a value for 8 x 8 pixels) in place of its own end, "
        "and drop what lies behind them; a small defect is lost in the average of a coarse map",
    )
    pool: Literal["avg", "max", "avg_max", "gem"] = Field(
        "avg",
        description="how the maps of strides are pooled: mean, maximum, both, or the generalised mean between them "
        "(p = 3), which leaves out what is negative",
    )
    neck: int = Field(
        0, ge=0, description="channels into which a small network fuses the maps of strides before pooling; 0 = none"
    )
    tta: Literal["none", "symmetries"] = Field(
        "none",
        description="test-time augmentation: an image is judged by one view, or by the mean of its features over its "
        "eight turns and mirror images, at eight times the cost; training and its best epoch are those of one view",
    )

    @model_validator(mode="after")
    def _one_beginning(self) -> "BackboneConfig":
        if self.init != "own" and self.weights != "none":
            raise ValueError(f"init={self.init} draws other weights than weights={self.weights}; set one of them alone")
        return self

    @model_validator(mode="after")
    def _strides_go_with_pool(self) -> "BackboneConfig":
        if list(self.strides) != sorted(set(self.strides)):
            raise ValueError("strides must ascend, each once, as in [8, 16]")
        if self.pool != "avg" and not self.strides:
            raise ValueError(f"pool={self.pool} pools the maps of strides; set strides as well, as in [8, 16]")
        if self.neck and self.pool == "gem":
            raise ValueError("pool=gem leaves out what is negative, as most of a neck's log-odds are; set pool=max")
        if self.neck and not self.strides:
            raise ValueError("neck fuses the maps of strides; set strides as well, as in [8, 16]")
        return self


def refuse_two_beginnings(config: Stage) -> Stage:
    """A validator of configs with ``backbone`` and ``checkpoint``: weights are either drawn or brought."""
    init, checkpoint = config.backbone.init, config.checkpoint
    if init != "own" and checkpoint != "none":
        raise ValueError(
            f"backbone.init: {init} draws other weights than checkpoint={checkpoint} brings; set --checkpoint none, or "
            "leave backbone.init out"
        )
    return config


def refuse_no_epochs(config: Stage) -> Stage:
    """A validator of configs with ``training``: without any there must be something that was fitted otherwise."""
    if not config.training.epochs and getattr(config, "head_start", "random") != "probe":
        raise ValueError(
            "training.epochs: 0 trains nothing; set 1 or more (finetune does without where head_start=probe: the probe "
            "then is the classifier)"
        )
    return config


class LinearHeadConfig(Section):
    """One layer."""

    name: Literal["linear"] = Field("linear", description="one linear layer on the pooled features")


class MLPHeadConfig(Section):
    """A hidden layer before the last one."""

    name: Literal["mlp"] = Field("mlp", description="a hidden layer between the pooled features and the last layer")
    hidden_dim: int = Field(256, ge=1, description="width of the hidden layer")
    drop_rate: float = Field(0.0, ge=0, lt=1, description="dropout behind the hidden layer")


class AttentionHeadConfig(Section):
    """Attention pooling (Zhai et al. 2022, arXiv 2106.04560, without what follows it there)."""

    name: Literal["attention"] = Field(
        "attention",
        description="a learned query looks at the places of the last feature map, which are not averaged; then one "
        "linear layer",
    )
    heads: int = Field(8, ge=1, description="attention heads; must divide the map's channels")


HeadConfig = Annotated[LinearHeadConfig | MLPHeadConfig | AttentionHeadConfig, Field(discriminator="name")]


class AuxiliaryConfig(Section):
    """A second classifier inside the network (Lee et al. 2015, arXiv 1409.5185)."""

    stride: int = Field(16, ge=1, description="stride of the stage whose map it sees, averaged (8 or 16, say)")
    weight: float = Field(0.4, gt=0, description="of its loss beside the head's (0.3 in Szegedy et al. 2015)")
