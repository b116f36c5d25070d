"""The networks whose norms are compared: made, described and trained as finetune does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ssl_pcb.audit.norms import norm_of
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.loaders import ArrayDataset, batches
from ssl_pcb.data.samplers import Endless
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone, refuse_size
from ssl_pcb.objectives.classification import ImageClassifier
from ssl_pcb.stages.classifier import build_classifier
from ssl_pcb.training.fastest import Workload, resolve_runtime
from ssl_pcb.training.loop import fit
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.processes import alone
from ssl_pcb.training.runtime import derive_seed, memory_format


@dataclass(frozen=True)
class Subject:
    """A network to be measured, on its device.

    Attributes:
        name: timm model name.
        model: As finetune trains it.
        runtime: Device, the precision that is fastest for the first network, and the layout that is for this one.
        fabric: Of these.
    """

    name: str
    model: ImageClassifier
    runtime: RuntimeConfig
    fabric: Fabric


def refuse_incomparable(config: FinetuneConfig, also: Sequence[str]) -> None:
    """Refuse, before any data are read, networks that cannot be had, and a first one without batch norm.

    Args:
        config: Of a finetuning; the norm of its network is replaced.
        also: timm model names.

    Raises:
        UserError: At the first of them.
    """
    bare = config.backbone.model_copy(update={"norm": "own", "weights": "none"})
    if norm_of(Backbone(bare, 3, config.data.context)) != "batch":
        raise UserError(
            f"backbone.name: '{bare.name}' has no batch norm whose cost could be told; name one that has with "
            "--backbone, and this one with --also"
        )
    for name in also:
        Backbone(bare.model_copy(update={"name": name}), 3, config.data.context)


def subjects_of(
    config: FinetuneConfig, channels: int, counts: NDArray[np.int64], also: Sequence[str]
) -> Iterator[Subject]:
    """The network of ``config`` with batch norm and with group norm, and the networks ``also`` as they come.

    Args:
        config: Of a finetuning.
        channels: Input channels.
        counts: (K,) samples of each class in an epoch.
        also: timm model names.

    Raises:
        UserError: If one of them cannot be had.
    """
    plain = config.backbone.model_copy(update={"norm": "own", "tta": "none"})  # as training sees: both modes alike
    first = _prepare(plain, channels, counts, config)
    yield first
    # In another precision its memory would tell nothing of the norm.
    runtime = config.runtime.model_copy(update={"precision": first.runtime.precision})
    config = config.model_copy(update={"runtime": runtime})
    yield _prepare(plain.model_copy(update={"norm": "group"}), channels, counts, config)
    for name in also:
        yield _prepare(plain.model_copy(update={"name": name}), channels, counts, config)


def describe_subject(subject: Subject) -> dict[str, Any]:
    """What a row of the table says of the network before anything is measured."""
    return {
        "network": subject.name,
        "norm": norm_of(subject.model.backbone),
        "parameters": sum(each.numel() for each in subject.model.parameters()),
        "precision": subject.runtime.precision,
        "layout": subject.runtime.layout,
    }


def train_subject(subject: Subject, dataset: ArrayDataset, sampler: Endless, config: FinetuneConfig) -> None:
    """Train for one epoch of ``sampler``.

    Raises:
        UserError: If the loss is no longer finite.
    """
    size = config.training.batch_size
    fit(
        subject.model, build_optimizer(config.optimizer, subject.model, size), config.training,
        lambda epoch: batches(dataset, sampler.epoch(epoch), size, drop_last=True),
        subject.fabric, seed=config.runtime.seed, layout=memory_format(subject.runtime), label=subject.name, quiet=True,
    )  # fmt: skip


def _prepare(backbone: BackboneConfig, channels: int, counts: NDArray[np.int64], config: FinetuneConfig) -> Subject:
    torch.manual_seed(derive_seed(config.runtime.seed, "init"))
    network, size = Backbone(backbone, channels, config.data.context), config.data.image_size
    refuse_size(network, channels, size)
    runtime = resolve_runtime(config.runtime, Workload.of(network, size))
    model, fabric = build_classifier(config, network, counts), alone(runtime)
    model.to(fabric.device, memory_format=memory_format(runtime))  # type: ignore[call-overload]
    return Subject(backbone.name, model, runtime, fabric)
