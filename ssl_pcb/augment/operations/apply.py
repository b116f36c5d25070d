"""Single operations on batches in which each picture has its own strength, and may have its own operation.

A strength is -1 to 1: 1 is the strongest that AugMix knows (Hendrycks et al. 2020, arXiv 1912.02781), the sign says
whether, say, a picture becomes brighter or darker; operations without two ways take its size. Of an image with its
golden image beside it both are changed alike, and by what is measured on both together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_pcb.augment.geometric import warp
from ssl_pcb.augment.operations.light import LIGHTS
from ssl_pcb.augment.operations.moves import MOVES


def change_at_random(
    images: Tensor, strengths: Tensor, names: Sequence[str], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One of the named operations on each image, every one on as many images, give or take one.

    Which images an operation gets is random, how many is not: so nothing waits for a GPU to say it.

    Args:
        images: (B, C, S, S) in [0, 1], C = 1 or 3, or 2 or 6 with golden images.
        strengths: (B,) -1 to 1.
        names: Of the operations (:data:`ssl_pcb.config.operations.Operation`).
        generator: Source of randomness.

    Returns:
        (B, C, S, S) in [0, 1], and the maps (B, 2, 3) from them to ``images``.
    """
    count, each = len(images), -(-len(images) // len(names))
    slots = torch.randperm(each * len(names), generator=generator, device=generator.device)
    owners = slots.argsort() % count  # where there are more slots than images, some are worked on for nothing
    done = [
        change(images[rows], strengths[rows], name) for name, rows in zip(names, owners.view(-1, each), strict=True)
    ]
    own = slots[:count]
    return torch.cat([changed for changed, _ in done])[own], torch.cat([maps for _, maps in done])[own]


def change(images: Tensor, strengths: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """The named operation on all images; see :func:`change_at_random`."""
    if name in MOVES:
        maps = MOVES[name](strengths)
        return warp(images, maps, images.shape[-1]), maps
    colours = 3 if images.shape[1] % 3 == 0 else 1
    count, channels, size, _ = images.shape
    # Image and golden image below one another: one picture, of one brightest pixel and one histogram.
    tall = images.view(count, -1, colours, size, size).transpose(1, 2).reshape(count, colours, -1, size)
    changed = LIGHTS[name](tall, strengths[:, None, None, None]).clamp(0, 1)
    split = changed.view(count, colours, -1, size, size).transpose(1, 2).reshape(count, channels, size, size)
    return split, torch.eye(2, 3, device=images.device).expand(count, -1, -1)


def chained(first: Tensor, then: Tensor) -> Tensor:
    """The maps (B, 2, 3) to samples of pictures that ``then`` took to other pictures, and ``first`` to samples."""
    linear = first[:, :, :2]
    return torch.cat([linear @ then[:, :, :2], linear @ then[:, :, 2:] + first[:, :, 2:]], 2)
