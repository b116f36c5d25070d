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
