"""Settings of audits of data."""

from pydantic import Field

from ssl_pcb.config.base import Section


class ShortcutsConfig(Section):
    """How cues that need no look at the defect are judged."""

    limit: float = Field(
        0.65, ge=0.5, lt=1, description="AUROC that the lower 95 % bound of a file cue must not exceed"
    )
    folds: int = Field(5, ge=2, le=20, description="folds that judge each other")
    samples: int = Field(20_000, ge=4, description="most labelled samples to look at, whole images drawn at random")
    seed: int = Field(0, ge=0, description="seed of folds, of drawn images and of what is blanked")


class DuplicatesConfig(Section):
    """When two pictures are copies of one another."""

    min_correlation: float = Field(
        0.95, gt=0, lt=1, description="least correlation of a copy with its original, whatever its brightness curve"
    )
    max_difference: float = Field(
        20.0,
        gt=0,
        lt=255,
        description="most grey levels (RMS) by which a copy may differ from its original in any of 8 x 8 parts: "
        "repeated patterns and other shots of one place differ somewhere by more",
    )
    neighbours: int = Field(10, ge=1, le=1000, description="nearest samples that each one is compared with, a symmetry")
