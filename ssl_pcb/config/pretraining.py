"""The complete config of pretrain."""

from pydantic import Field, model_validator

from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.base import Section
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.meanings import COMPILE, CURVE, PROFILE
from ssl_pcb.config.method import DefectPretextConfig, MethodConfig, SimCLRConfig
from ssl_pcb.config.model import BackboneConfig, refuse_no_epochs, refuse_two_beginnings
from ssl_pcb.config.optim import AdamWConfig, OptimizerConfig, TrainingConfig
from ssl_pcb.config.runtime import RuntimeConfig


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
    training: TrainingConfig = Field(TrainingConfig(epochs=20), description=CURVE)
    monitor_every: int = Field(
        5, ge=1, description="epochs between looks at the representation (kNN, spread, effective rank)"
    )
    monitor_samples: int = Field(2000, ge=16, description="most samples that such a look reads of each side")
    profile: bool = Field(False, description=PROFILE)
    compile: bool = Field(False, description=COMPILE)
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="device and records")

    _one_beginning = model_validator(mode="after")(refuse_two_beginnings)
    _trains = model_validator(mode="after")(refuse_no_epochs)

    @model_validator(mode="after")
    def _surroundings_are_told_apart(self) -> "PretrainConfig":
        if self.data.context and self.method.name == "autoencoder":
            raise ValueError("data.context: an autoencoder codes the whole picture; set it to 0")
        return self

    @model_validator(mode="after")
    def _codes_are_of_one_view(self) -> "PretrainConfig":
        if self.backbone.tta != "none" and self.method.name == "autoencoder":
            raise ValueError("backbone.tta: an autoencoder codes the picture as it lies; set it to none")
        return self

    @model_validator(mode="after")
    def _defects_have_a_map(self) -> "PretrainConfig":
        if isinstance(self.method, DefectPretextConfig):
            kinds = len(self.method.defect.generators)
            if self.backbone.neck != 1 + kinds or self.backbone.pool != "max":
                raise ValueError(
                    "backbone: painted defects are found on a map with one channel for any defect and one for each of "
                    f"the {kinds} generators, whose maxima are the features; set backbone.strides=[8,16], "
                    f"backbone.neck={1 + kinds} and backbone.pool=max"
                )
        return self

    @model_validator(mode="after")
    def _golden_images_have_a_use(self) -> "PretrainConfig":
        if not self.data.references:
            return self
        if self.shards is not None:
            raise ValueError("data.references: shards hold no golden images; name a manifest with --data instead")
        match self.method:
            case DefectPretextConfig(nt_xent_weight=0) | SimCLRConfig(hard_negatives="none"):
                return self
        raise ValueError(
            "data.references: golden images are for painted defects (--method defect_pretext) without NT-Xent, and for "
            "--method simclr without hard negatives; choose one of these, or leave --references out"
        )

    @property
    def sees_references(self) -> bool:
        """Whether the network itself sees golden images, as channels beside each image's own."""
        return self.data.references and isinstance(self.method, DefectPretextConfig)
