"""A sweep: many runs of one or several stages, named, over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ssl_pcb.config.base import Section
from ssl_pcb.config.presets import PRESETS

Judged = Literal["linear-eval", "finetune", "crossval"]


def _each_once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed is given twice; a run that is counted twice looks surer than it is")
    return seeds


Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1), AfterValidator(_each_once)]


class PretrainPart(Section):
    """A pretraining whose weights a run starts from; runs that ask for the same share it."""

    config: Path | None = Field(None, description="YAML config of pretrain")
    keys: dict[str, Any] = Field({}, description="keys of pretrain, nested or dotted")


class SweepEntry(Section):
    """One row of the leaderboard; with a grid, one row a combination."""

    name: str = Field(min_length=1, description="what the leaderboard calls it")
    asks: str = Field("", description="a sentence on what this entry asks")
    stage: Judged | None = Field(None, description="stage to run, if not the sweep's")
    config: Path | None = Field(None, description="YAML config of the stage, if not the sweep's")
    pretrain: PretrainPart | None = Field(None, description="a pretraining before it")
    seeds: Seeds | None = Field(None, description="seeds, if not the sweep's")
    preset: Literal[*PRESETS] | None = Field(None, description="a paper's recipe, which the entry's keys override")  # type: ignore[valid-type]
    keys: dict[str, Any] = Field({}, description="keys that differ from the sweep's, nested or dotted")
    against: str | None = Field(None, description="entry that it is compared with, if not the sweep's baseline")


class SweepConfig(Section):
    """What ``ssl-pcb sweep`` reads."""

    stage: Judged = Field("finetune", description="stage to run")
    config: Path | None = Field(None, description="YAML config that all runs start from")
    seeds: Seeds = Field((0,), description="seeds; each run is made once a seed")
    keys: dict[str, Any] = Field({}, description="keys of all runs, nested or dotted")
    grid: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(
        {}, description="key to its values; every entry is run with every combination"
    )
    runs: tuple[SweepEntry, ...] = Field((), description="entries; none = one that the grid alone varies")
    baseline: str | None = Field(None, description="entry that the others are compared with; none = the first one")

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> SweepConfig:
        names = [entry.name for entry in self.runs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"runs: two entries are named '{twice}'; name each once")
        return self
