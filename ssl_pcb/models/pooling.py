"""From a feature map to one value, or two, for each of its channels."""

from __future__ import annotations

from torch import Tensor

GEM, GEM_LEAST = 3.0, 1e-6
"""Power of the generalised mean: 1 is the mean, infinity the maximum. And what smaller values count as."""


def pool_map(values: Tensor, how: str) -> list[Tensor]:
    """What ``backbone.pool`` makes of a map (B, D, h, w): one or two tensors (B, D)."""
    match how:
        case "avg":
            return [values.mean((2, 3))]
        case "max":
            return [values.amax((2, 3))]
        case "avg_max":
            return [values.mean((2, 3)), values.amax((2, 3))]
        case _:  # gem (Radenovic et al. 2019, arXiv 1711.02512); bfloat16 has too few digits for its powers
            return [values.float().clamp(min=GEM_LEAST).pow(GEM).mean((2, 3)).pow(1 / GEM)]
