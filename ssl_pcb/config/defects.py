"""Synthetic defects: what is painted, how large and how strong."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from ssl_pcb.config.base import Section

Generator = Literal[
    "break", "bridge", "nick", "spur", "pin_hole", "island", "cut_paste", "soft_paste", "scar",
]  # fmt: skip

ALONG_THE_PATTERN: tuple[Generator, ...] = ("break", "bridge", "nick", "spur", "pin_hole", "island")
"""Those that read the board's own pattern, on which a network learns best (results/ablations.csv)."""


class DefectConfig(Section):
    """Defects painted on any board picture, without labels."""

    generators: tuple[Generator, ...] = Field(
        get_args(Generator),
        min_length=1,
        description="drawn from evenly. Along the board's pattern, named for bright copper: break, bridge, nick, spur, "
        "pin_hole, island. Blind to it: cut_paste (a piece of the same picture, from elsewhere), soft_paste (the same, "
        "blended in), scar (a scratch)",
    )
    min_size: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="shortest longer side of what is drawn, in pixels; none = 5 % of the sample's side. On a border "
        "about half of it is seen, the rest lies on its own tone",
    )
    max_size: Annotated[float, Field(gt=0)] | None = Field(
        None, description="longest longer side of what is drawn, in pixels; none = 20 % of the sample's side"
    )
    min_aspect: float = Field(0.3, gt=0, le=1, description="most elongated defect, shorter to longer side")
    min_contrast: float = Field(0.5, gt=0, le=1, description="faintest defect: its share in what it covers")
    tones: Literal["picture", "window"] = Field(
        "picture",
        description="what the board's pattern is read from, as two tones: the whole picture, or a square of half its "
        "side at a drawn place, which tells traces under the mask from what is between them beside brighter pads",
    )
    null_share: float = Field(
        0.2, ge=0, lt=1, description="share of samples without a defect, half of them retouched in their own tones"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "DefectConfig":
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise ValueError("min_size must not exceed max_size")
        return self

    def sizes(self, side: int) -> tuple[float, float]:
        """Shortest and longest longer side in pixels, for pictures of ``side`` pixels.

        The defaults are half as long as the visible changes on DeepPCB's training boards (tested image minus template,
        inside the boxes: 90 % of these are 11 to 49 px long on tiles of 128 px). As long as those, painted defects look
        like pads and bends of the pattern, and teach to suspect these (results/ablations.csv).
        """
        longest = 0.2 * side if self.max_size is None else self.max_size
        shortest = min(0.05 * side, longest) if self.min_size is None else self.min_size
        return shortest, max(shortest, longest)
