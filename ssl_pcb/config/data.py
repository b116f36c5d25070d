"""Which images, at which size."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ssl_pcb.config.base import Section


class DataConfig(Section):
    """Where the samples come from and how they become pixels."""

    manifest: Path | None = Field(None, description="manifest (.csv or .parquet); none = the embedded synthetic boards")
    image_size: int = Field(128, ge=32, le=4096, description="side of the square the network sees, in pixels")
    channels: Literal["auto", 1, 3] = Field(
        "auto", description="1 grey, 3 colour; auto = 3 if at least one image in twenty has colour"
    )
    bit_depth: Literal["auto"] | Annotated[int, Field(ge=8, le=16)] = Field(
        "auto",
        description="significant bits of 16-bit files (12-bit cameras: 12); auto = measured on a sample of them",
    )
    margin: float = Field(
        0.125,
        ge=0,
        le=0.5,
        description="ring of real surroundings kept around each crop, as a share of image_size",
    )
    context: int = Field(
        0,
        ge=0,
        le=1024,
        description="pixels of image_size on each side that show what surrounds a tile: the network sees them and "
        "pools its maps over the tile alone, so that a defect which the tile's edge cuts is seen whole",
    )
    references: bool = Field(
        False,
        description="bring each sample's aligned golden image (manifest column 'reference'): pretrain and finetune see "
        "both at once (--method simclr compares them), linear-eval adds their difference as a score and sees what its "
        "checkpoint does. Both are re-encoded alike",
    )
    max_pixels: int = Field(300_000_000, ge=1, description="larger images are refused as image bombs")
    skip_bad: bool = Field(False, description="leave unreadable images out, counted, instead of stopping at the first")
    cache: Path | None = Field(None, description="folder for packed pixels and features; none = the user's cache")

    @model_validator(mode="after")
    def _leave_room(self) -> "DataConfig":
        if 4 * self.context > self.image_size:
            raise ValueError(
                f"context: leaves less than half of the {self.image_size} px to the tile itself; "
                f"give it at most {self.image_size // 4}"
            )
        return self

    @property
    def scale(self) -> str:
        """At which size samples are seen, in words."""
        around = f" and {self.context} px around it" if self.context else ""
        return f"{self.image_size - 2 * self.context} px{around}"

    @property
    def margin_pixels(self) -> int:
        """Width in pixels of the ring around a crop."""
        return round(self.margin * self.image_size)
