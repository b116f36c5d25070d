"""Random numbers on a device, from a generator of its own."""

from __future__ import annotations

import torch
from torch import Tensor


def dirichlet(alpha: float, count: int, parts: int, generator: torch.Generator) -> Tensor:
    """(count, parts) rows that sum to 1, from Dirichlet(alpha, ..., alpha); with 2 parts each is Beta(alpha, alpha).

    ``torch.distributions`` draws from the global generator alone; this is what it draws with.
    """
    drawn: Tensor = torch._sample_dirichlet(torch.full((count, parts), alpha, device=generator.device), generator)
    return drawn


def unit(count: int, generator: torch.Generator) -> Tensor:
    """(count,) uniform in [0, 1)."""
    return torch.rand(count, generator=generator, device=generator.device)


def signs(count: int, generator: torch.Generator) -> Tensor:
    """(count,) -1 or 1, as often."""
    return torch.where(unit(count, generator) < 0.5, -1.0, 1.0)
