"""Where in a network its feature maps are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from ssl_pcb.errors import UserError

PROBE = 64
"""Side in pixels of the images that tell a network's strides; any stride up to it divides it."""


class Stage(NamedTuple):
    """A stage of a network: its number, as timm's ``forward_intermediates`` counts, and the channels of its map."""

    number: int
    depth: int


@torch.no_grad()
def stages_at(network: nn.Module, name: str, channels: int, strides: Iterable[int], key: str) -> list[Stage]:
    """The last stage at each of ``strides``, in image pixels per step of its map.

    Args:
        network: From timm.
        name: What a refusal calls it.
        channels: Input channels.
        strides: Wanted.
        key: Config key that wants them.

    Raises:
        UserError: If there is none, with the strides that there are.
    """
    looked_at: Any = network
    if not hasattr(network, "forward_intermediates"):
        raise UserError(f"{key}: '{name}' gives out no maps; leave it out, or choose a backbone such as resnet18")
    was_training = network.training
    try:
        found = looked_at.eval().forward_intermediates(torch.zeros(1, channels, PROBE, PROBE), intermediates_only=True)
    except (AssertionError, RuntimeError, ValueError):  # made for pictures of one size
        raise UserError(
            f"{key}: '{name}' gives out no maps of pictures of {PROBE} px; leave it out (painted defects need it, "
            "--method simclr does not), or choose a backbone such as resnet18"
        ) from None
    network.train(was_training)
    last = {PROBE // each.shape[-1]: Stage(number, each.shape[1]) for number, each in enumerate(found)}
    strides = list(strides)
    lost = [stride for stride in strides if stride not in last]
    if lost:
        offered = ", ".join(str(stride) for stride in sorted(last))
        raise UserError(f"{key}: '{name}' has no map of stride {lost[0]}, only of {offered}")
    return [last[stride] for stride in strides]
