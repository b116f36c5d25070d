"""What a stage will cost, said before it begins."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from torch import nn

from ssl_pcb.data.loaders import ArrayDataset, Batch
from ssl_pcb.data.samples import Samples
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.training.runtime import make_generator, now

PATIENCE = 0.5
"""Seconds that the first run of a trial may take if there are to be several more."""

log = logging.getLogger(__name__)


def announce_cost(
    objective: nn.Module,
    dataset: ArrayDataset,
    batch_size: int,
    steps: int,
    disk: int,
    fabric: Fabric,
    *,
    at_most: bool = False,
) -> None:
    """Say how long ``steps`` steps will take, from a trial on a copy, and that checkpoints need ``disk`` bytes.

    ``at_most`` says that training may stop before the last step.
    """
    seconds = sample_seconds(objective, dataset, batch_size, fabric) * batch_size * steps
    log.info(
        "expected: %sabout %s for %d steps of %d samples, and %.0f MB of disk for checkpoints",
        "at most " * at_most, duration(seconds), steps, batch_size, disk / 1e6,
    )  # fmt: skip


def sample_seconds(objective: nn.Module, dataset: ArrayDataset, batch_size: int, fabric: Fabric) -> float:
    """Seconds that training takes for a sample, from a trial on a copy of ``objective``."""
    trial = copy.deepcopy(objective).to(fabric.device)
    count = min(batch_size, 16, len(dataset))  # more would only delay the first step
    batch: Batch = dataset.__getitems__(list(range(count))).to(fabric.device)

    def step() -> None:
        with fabric.autocast():
            output = trial(batch, make_generator(fabric.device, "trial"))
        output.loss.backward()

    return _least_seconds(step, fabric) / fabric.world_size / count


def announce_features(backbone: Backbone, samples: Samples, count: int, passes: int, fabric: Fabric) -> None:
    """Say how long the features of ``count`` samples will take in ``passes`` networks, from a trial, and their disk."""
    seconds = forward_seconds(backbone, samples.store.spec.size, fabric)
    log.info(
        "expected: about %s for the features of %d %ss in %d network(s), unless cached, and %.0f MB of disk",
        duration(seconds * count * passes), count, samples.unit, passes, count * backbone.dim * 4 * passes / 1e6,
    )  # fmt: skip


def forward_seconds(backbone: Backbone, size: int, fabric: Fabric) -> float:
    """Seconds that the features of an image of ``size`` pixels take, from a trial on a copy of ``backbone``."""
    images = torch.zeros(32, backbone.channels, size, size, device=fabric.device)
    trial = copy.deepcopy(backbone).eval().to(fabric.device)

    def forward() -> None:
        with torch.no_grad(), fabric.autocast():
            trial(images)

    return _least_seconds(forward, fabric) / fabric.world_size / len(images)


def duration(seconds: float) -> str:
    """Seconds in words: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _least_seconds(run: Callable[[], None], fabric: Fabric) -> float:
    """Of a few runs, as many on every process, for they may wait for each other in each.

    The first one warms up, and another program may disturb some.
    """

    def seconds() -> float:
        began = now(fabric.device)
        run()
        return now(fabric.device) - began

    first = seconds()
    return min(seconds() for _ in range(fabric.broadcast(3 if first < PATIENCE else 1)))
