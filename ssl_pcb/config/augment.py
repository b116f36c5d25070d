"""How strongly a view may differ from its sample. Nothing here can cut a defect away unless crops are allowed.

Where a view shows what surrounds a tile (``data.context``), that holds for all of it, and not for the tile's own place.
"""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.base import Section


class RandomCropConfig(Section):
    """The crop of ImageNet SimCLR. It can cut the defect away, and with it the label."""

    min_area: float = Field(0.08, gt=0, le=1, description="smallest share of the sample's area that a crop keeps")
    max_area: float = Field(1.0, gt=0, le=1, description="largest share of the sample's area that a crop keeps")
    max_aspect: float = Field(4 / 3, ge=1, description="most elongated crop, width to height or height to width")

    @model_validator(mode="after")
    def _ordered(self) -> "RandomCropConfig":
        if self.min_area > self.max_area:
            raise ValueError("min_area must not exceed max_area")
        return self


class GeometryConfig(Section):
    """One affine map per view; the sample always stays inside the view."""

    symmetries: bool = Field(True, description="one of the eight symmetries of the square, at random")
    rotation: float = Field(5.0, ge=0, le=180, description="largest rotation, in degrees either way")
    translation: float = Field(0.04, ge=0, lt=0.5, description="largest shift, as a share of the view's side")
    shrink: float = Field(0.1, ge=0, lt=1, description="largest further shrinking, as a share of the side")
    surroundings: bool = Field(
        True,
        description="show a crop's real surroundings beyond its edge; off = its mirror image, which adds no neighbour",
    )
    misalignment: int = Field(
        1,
        ge=0,
        le=64,
        description="largest shift of a golden image beside its image, in pixels of the view either way (acts with "
        "data.references, but for --method simclr)",
    )
    random_crop: RandomCropConfig | None = Field(
        None, description="random crops in place of rotation, translation and shrink; refused unless allow_crops"
    )
    allow_crops: bool = Field(False, description="accept that random crops can cut the defect out of a view")

    @model_validator(mode="after")
    def _no_silent_crops(self) -> "GeometryConfig":
        if self.random_crop is not None and not self.allow_crops:
            raise ValueError(
                "random_crop can cut the defect out of a view and so invert its class; "
                "remove it, or set allow_crops=true beside it to accept that"
            )
        return self

    @property
    def exact(self) -> bool:
        """Whether every map is a symmetry of the square, which moves pixels and interpolates none."""
        return self.random_crop is None and self.rotation == self.translation == self.shrink == 0

    @property
    def still(self) -> bool:
        """Whether every view is its sample."""
        return self.exact and not self.symmetries and not self.misalignment


class PhotometryConfig(Section):
    """Light and sensor variation, each with its own random strength per sample."""

    brightness: float = Field(0.1, ge=0, le=1, description="largest added or removed brightness, of full scale")
    contrast: float = Field(0.25, ge=0, lt=1, description="largest relative change of contrast about the mean")
    gamma: float = Field(0.25, ge=0, lt=1, description="largest relative change of gamma")
    blur: float = Field(0.8, ge=0, le=5, description="largest Gaussian blur, sigma in pixels of the view")
    noise: float = Field(0.03, ge=0, le=0.5, description="largest sensor noise, standard deviation of full scale")
    jpeg: int = Field(0, ge=0, le=95, description="strongest JPEG compression, 100 less the lowest quality; 0 = none")


class ViewConfig(Section):
    """Geometry, then light."""

    geometry: GeometryConfig = Field(GeometryConfig(), description="where the pixels go")
    photometry: PhotometryConfig = Field(PhotometryConfig(), description="what the light and the sensor do")


SUPERVISED_VIEW = ViewConfig(geometry=GeometryConfig(surroundings=False))
"""Of a labelled sample no surroundings are shown: a neighbour's defect there would make the label wrong."""

AS_IT_IS = ViewConfig(
    geometry=GeometryConfig(symmetries=False, rotation=0, translation=0, shrink=0, surroundings=False, misalignment=0),
    photometry=PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0, jpeg=0),
)

ONLY_SYMMETRIES = AS_IT_IS.model_copy(
    update={"geometry": AS_IT_IS.geometry.model_copy(update={"symmetries": True})},
)


class AugmentSection(Section):
    """Keys of what supervised training does to a sample.

    Attributes:
        relabels: Whether a picture's label may be another than its sample's.
    """

    relabels: ClassVar[bool] = False

    @property
    def two_labels(self) -> bool:
        """Whether a picture may have a share of either label."""
        return False


class NoAugmentConfig(AugmentSection):
    """Samples as they are."""

    name: Literal["none"] = Field("none", description="samples as they are")

    @property
    def view(self) -> ViewConfig:
        """How a sample is shown."""
        return AS_IT_IS


class SymmetriesConfig(AugmentSection):
    """The eight symmetries of the square."""

    name: Literal["symmetries"] = Field("symmetries", description="the eight symmetries of the square, nothing else")

    @property
    def view(self) -> ViewConfig:
        """How a sample is shown."""
        return ONLY_SYMMETRIES


class StandardConfig(AugmentSection):
    """The defect-preserving policy."""

    name: Literal["standard"] = Field("standard", description="views that keep the defect, by the keys of view")
    view: ViewConfig = Field(SUPERVISED_VIEW, description="how a sample is shown")
