"""Scores of a trained classifier on pictures as they are, corrupted, and shifted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from ssl_pcb.audit.camera.corruptions import SEVERITIES, Corruption, corruptions
from ssl_pcb.audit.camera.moves import DIRECTIONS, shifted
from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.augment.views import centre
from ssl_pcb.data.loaders import Batch
from ssl_pcb.decision.checks import checked_scores
from ssl_pcb.objectives.classification import ImageClassifier
from ssl_pcb.training.runtime import make_generator

SHIFTS = (1, 2, 4, 8)
"""Pixels of the network's input."""


class Key(NamedTuple):
    """What was done to the pictures.

    Attributes:
        name: Of the corruption, or :data:`~ssl_pcb.audit.camera.overlap.SHIFT`.
        level: Severity, or pixels.
        direction: Number of the shift's direction.
    """

    name: str
    level: int
    direction: int = 0


CLEAN = Key("clean", 0)

Change = Callable[[Tensor, torch.Generator], Tensor]
"""Stored pixels (B, C, H, H) uint8 to changed pictures (B, C, S, S) uint8."""


def camera_changes(size: int, channels: int) -> Iterator[tuple[Key, Change]]:
    """Every corruption at every severity, for samples of ``size`` pixels and ``channels`` 1 or 3."""
    for corruption in corruptions(channels):
        for severity in SEVERITIES:
            yield Key(corruption.name, severity), _corrupting(corruption, size, severity)


def _corrupting(corruption: Corruption, size: int, severity: int) -> Change:
    return lambda pixels, generator: corruption.apply(pixels, size, severity, generator)


def shift_changes(size: int) -> Iterator[tuple[Key, Change]]:
    """Every shift of :data:`SHIFTS` in every direction."""
    for distance in SHIFTS:
        for number, (right, down) in enumerate(DIRECTIONS):
            yield Key(SHIFT, distance, number), _shifting(size, right * distance, down * distance)


def _shifting(size: int, right: int, down: int) -> Change:
    return lambda pixels, _: shifted(pixels, size, right, down)


@torch.no_grad()
def scores_under(
    model: ImageClassifier,
    changes: Mapping[Key, Change],
    channels: int,
    batches: Iterable[Batch],
    fabric: Fabric,
    *,
    seed: int = 0,
) -> dict[Key, NDArray[np.float64]]:
    """Score each picture as it is, and under each change.

    Golden images beside the pictures stay as they are: the camera took them when it was well.

    Args:
        model: On its device, in eval mode.
        changes: What to do to the pictures.
        channels: Of the pictures without their golden images.
        batches: Stored pixels on the same device; at least one.
        fabric: Device and precision.
        seed: Seed of what the changes draw; the same for each of them.

    Returns:
        Log-odds of Defective (N,) under each change, and under :data:`CLEAN`.

    Raises:
        UserError: If scores are NaN or infinite.
    """
    generators = {key: make_generator(fabric.device, seed, "camera") for key in changes}
    found: dict[Key, list[Tensor]] = {CLEAN: [], **{key: [] for key in changes}}
    for batch in batches:
        own, golden = batch.inputs[:, :channels], centre(batch.inputs[:, channels:], model.size)
        with fabric.autocast():
            found[CLEAN].append(model.scores(batch.inputs))
        for key, change in changes.items():
            pictures = torch.cat([change(own, generators[key]), golden], 1)
            with fabric.autocast():
                found[key].append(model.scores(pictures))
    return {key: checked_scores(torch.cat(parts).double().cpu().numpy()) for key, parts in found.items()}
