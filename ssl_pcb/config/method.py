"""Self-supervised methods."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.base import Section, refuse_idle
from ssl_pcb.config.defects import DefectConfig


class _Contrastive(Section):
    name: str  # first in every listing; each method narrows it
    temperature: float = Field(0.2, gt=0, le=10, description="temperature of the contrastive loss")
    hidden_dim: int = Field(512, ge=1, description="width of the projection head's hidden layer")
    output_dim: int = Field(128, ge=2, description="dimension in which views are compared")
    head_batch_norm: bool = Field(True, description="batch norm inside the projection head")


class SimCLRConfig(_Contrastive):
    """SimCLR (Chen et al. 2020, arXiv 2002.05709)."""

    name: Literal["simclr"] = Field(
        "simclr", description="two views of a sample agree, views of different samples do not (NT-Xent)"
    )
    hard_negatives: Literal["none", "synthetic"] = Field(
        "none", description="synthetic = each sample is also pushed away from itself with a painted defect"
    )
    copies: int = Field(1, ge=1, description="painted copies of each sample")
    defect: DefectConfig = Field(DefectConfig(), description="the painted defects")

    @model_validator(mode="after")
    def _paints_something(self) -> "SimCLRConfig":
        for key in ("copies", "defect"):
            refuse_idle(self, key, "hard_negatives=synthetic", acts=self.hard_negatives == "synthetic")
        return self


class DCLConfig(_Contrastive):
    """Decoupled contrastive learning (Yeh et al. 2022, arXiv 2110.06848)."""

    name: Literal["dcl"] = Field(
        "dcl", description="SimCLR without the positive pair in the denominator, for small batches"
    )


class MoCoConfig(_Contrastive):
    """Momentum contrast with a queue of negatives (He et al. 2020, arXiv 1911.05722; its v2 head)."""

    name: Literal["moco"] = Field(
        "moco",
        description="SimCLR against a momentum copy of the network and a queue of negatives; goes best with "
        "backbone.norm=group",
    )
    head_batch_norm: bool = Field(False, description="batch norm inside the projection head")
    queue: int = Field(
        1024, ge=1, description="negatives kept from earlier batches; fewer than there are training samples"
    )
    momentum: float = Field(0.99, ge=0, lt=1, description="share of the old weights in each momentum update")


class BarlowTwinsConfig(Section):
    """Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230)."""

    name: Literal["barlow_twins"] = Field(
        "barlow_twins", description="correlations between the views' features become the identity matrix"
    )
    hidden_dim: int = Field(1024, ge=1, description="width of the projection head's hidden layers")
    output_dim: int = Field(1024, ge=2, description="dimension whose correlations are decorrelated")
    redundancy: float = Field(5e-3, gt=0, description="weight of the off-diagonal terms (the paper's lambda)")


class VICRegConfig(Section):
    """VICReg (Bardes et al. 2022, arXiv 2105.04906)."""

    name: Literal["vicreg"] = Field(
        "vicreg", description="views agree, features keep their variance and lose their covariance"
    )
    hidden_dim: int = Field(1024, ge=1, description="width of the projection head's hidden layers")
    output_dim: int = Field(1024, ge=2, description="dimension in which views are compared")
    invariance: float = Field(25.0, ge=0, description="weight of the distance between views (lambda)")
    variance: float = Field(25.0, ge=0, description="weight of the variance hinge (mu)")
    covariance: float = Field(1.0, ge=0, description="weight of the covariance term (nu)")


class SimSiamConfig(Section):
    """SimSiam (Chen & He 2021, arXiv 2011.10566)."""

    name: Literal["simsiam"] = Field(
        "simsiam", description="one view predicts the other; no negatives, gradient stopped on one side"
    )
    hidden_dim: int = Field(512, ge=1, description="width of the projection head's hidden layers")
    output_dim: int = Field(512, ge=2, description="dimension in which views are compared")
    prediction_dim: int = Field(128, ge=1, description="width of the prediction head's hidden layer")


class BYOLConfig(Section):
    """BYOL (Grill et al. 2020, arXiv 2006.07733)."""

    name: Literal["byol"] = Field(
        "byol", description="one view predicts a momentum copy's output for the other; no negatives"
    )
    hidden_dim: int = Field(512, ge=1, description="width of the heads' hidden layers")
    output_dim: int = Field(128, ge=2, description="dimension in which views are compared")
    momentum: float = Field(0.99, ge=0, lt=1, description="share of the old weights in each momentum update")


class AutoencoderConfig(Section):
    """Convolutional autoencoder: the backbone, a bottleneck, and a decoder back to pixels."""

    name: Literal["autoencoder"] = Field(
        "autoencoder", description="reduce the image to a few numbers and rebuild it from them"
    )
    dim: int = Field(64, ge=1, description="bottleneck: numbers that one image is reduced to")
    decoder_width: int = Field(
        32, ge=8, description="channels of the decoder at half resolution; doubled inwards, at most eightfold"
    )
    mse: float = Field(1.0, ge=0, description="weight of the mean squared error")
    l1: float = Field(0.0, ge=0, description="weight of the mean absolute error")
    ssim: float = Field(0.0, ge=0, description="weight of 1 - SSIM (Wang et al. 2004)")
    corruption: Literal["none", "noise", "mask", "defect"] = Field(
        "none",
        description="what is done to the input but not to the target: noise (denoising), mask (hidden squares), "
        "or defect (a painted defect, to be repaired)",
    )
    noise: float = Field(0.1, gt=0, le=1, description="standard deviation of the noise, on [0, 1]")
    mask_ratio: float = Field(0.5, gt=0, lt=1, description="share of the squares that are hidden")
    mask_size: int = Field(16, ge=2, description="side of a hidden square in pixels")
    defect: DefectConfig = Field(DefectConfig(), description="the painted defect")

    @model_validator(mode="after")
    def _some_loss(self) -> "AutoencoderConfig":
        if self.mse == self.l1 == self.ssim == 0:
            raise ValueError("mse, l1 and ssim are all 0; set one of them above 0")
        return self

    @model_validator(mode="after")
    def _spoils_as_asked(self) -> "AutoencoderConfig":
        for key, kind in {"noise": "noise", "mask_ratio": "mask", "mask_size": "mask", "defect": "defect"}.items():
            refuse_idle(self, key, f"corruption={kind}", acts=self.corruption == kind)
        return self


class DefectPretextConfig(_Contrastive):
    """Find painted defects: whether there is one, where, and which; joined with SimCLR's loss if that has a weight."""

    name: Literal["defect_pretext"] = Field(
        "defect_pretext",
        description="find painted defects on a dense map: whether, where and which; needs backbone.strides and neck",
    )
    defect: DefectConfig = Field(DefectConfig(null_share=0.3), description="the painted defects")
    positive_weight: float = Field(8.0, gt=0, description="weight of the map's cells with a defect, which are few")
    kind_weight: float = Field(0.1, ge=0, description="weight of telling which generator painted")
    trim: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="share of the map's cells, the most suspicious of those without paint, that each step leaves out: "
        "unlabelled images show real defects, which must not be taught as clean",
    )
    nt_xent_weight: float = Field(
        0.0,
        ge=0,
        description="weight of SimCLR's loss beside the map's, with the painted picture as hard negative; 0 = the map "
        "alone, at a third of the cost",
    )

    @model_validator(mode="after")
    def _contrasts_with_a_weight(self) -> "DefectPretextConfig":
        for key in ("temperature", "hidden_dim", "output_dim", "head_batch_norm"):
            refuse_idle(self, key, "nt_xent_weight above 0", acts=self.nt_xent_weight > 0)
        return self


MethodConfig = Annotated[
    SimCLRConfig
    | DCLConfig
    | MoCoConfig
    | BarlowTwinsConfig
    | VICRegConfig
    | SimSiamConfig
    | BYOLConfig
    | AutoencoderConfig
    | DefectPretextConfig,
    Field(discriminator="name"),
]
