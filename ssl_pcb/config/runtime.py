"""Where and how the computation runs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ssl_pcb.config.base import Section


class RuntimeConfig(Section):
    """Seed, device, numeric precision, and where the records go."""

    out: Path | None = Field(None, description="run folder; none = runs/STAGE-DATE-TIME")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of everything random")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto = cuda where there is one")
    devices: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="processes on each machine, one a GPU; auto = as torchrun or SLURM started us, else 1"
    )
    nodes: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="machines; auto = as torchrun or SLURM started us, else 1"
    )
    timeout: int = Field(300, ge=10, description="seconds after which a process that others wait for counts as dead")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto = the faster of both in a short measurement; bf16 is mixed precision"
    )
    layout: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="memory layout of images and kernels; auto = measured together with precision"
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0 = all cores. Take fewer where other work runs")
    ledger: Path = Field(
        Path("results/test_ledger.csv"), description="project-wide record of every look at a test split"
    )
