"""What users are told of: every variant of an option has its place in docs/options.md."""

from pathlib import Path
from typing import get_args

import pytest

from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.optim import OptimizerConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.config.sampler import SamplerConfig

TOLD = (Path(__file__).parent.parent / "docs" / "options.md").read_text(encoding="utf-8")
NAMES = [
    variant().name
    for union in (SamplerConfig, LossConfig, AugmentConfig, OptimizerConfig)
    for variant in get_args(get_args(union)[0])
]


@pytest.mark.parametrize("name", sorted({*NAMES} - {"none"}))
def test_an_option_is_told_of(name):
    assert f"`{name}`" in TOLD
