"""What a network's normalisation costs: memory, time, and scores that depend on more than the image."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from timm.layers.drop import DropPath
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ssl_pcb.config.optim import OptimizerConfig
from ssl_pcb.data.loaders import ArrayDataset, Batch, batches, fetched
from ssl_pcb.objectives.classification import ImageClassifier
from ssl_pcb.training.memory import peak_bytes
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.runtime import make_generator, now

WARM_UP, ROUNDS = 2, 7
"""Steps that are not timed, and rounds of one timed step of each network."""

DRAWS = 4
"""Random ways to put the images together into batches."""


class Step:
    """A training step on one batch, again and again, on a copy of a model."""

    def __init__(self, model: ImageClassifier, optimizer: OptimizerConfig, batch: Batch, fabric: Fabric) -> None:
        self.model = copy.deepcopy(model).train()
        self.optimizer = build_optimizer(optimizer, self.model, len(batch.labels))
        self.batch, self.fabric = batch, fabric
        self.generator = make_generator(fabric.device, "norms")

    def __call__(self) -> None:
        """Take the step."""
        with self.fabric.autocast():
            output = self.model(self.batch, self.generator)
        output.loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def step_memory(model: ImageClassifier, optimizer: OptimizerConfig, batch: Batch, fabric: Fabric) -> int:
    """Peak bytes of the second training step on ``batch``: weights, gradients, moments, and what backward needs."""

    def run() -> None:
        step = Step(model, optimizer, batch, fabric)
        step()
        step()

    return peak_bytes(run, fabric.device)


def step_seconds(steps: Sequence[Step]) -> list[float]:
    """Median seconds of each of ``steps``, which take turns, so that a busy moment meets them alike."""
    for step in steps:
        for _ in range(WARM_UP):
            step()
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(ROUNDS):
        for step, each in zip(steps, times, strict=True):
            began = now(step.fabric.device)
            step()
            each.append(now(step.fabric.device) - began)
    return [statistics.median(each) for each in times]


@dataclass(frozen=True)
class BatchEffects:
    """How scores depend on the images in the same batch.

    Attributes:
        train_eval_gap: Mean difference between an image's score in training mode and in evaluation mode, in standard
            deviations of the scores over images.
        batch_dependence: Mean difference between its scores in training mode among different others, likewise.
        auroc_train: AUROC in training mode; ``None`` where the images are of one class.
        auroc_eval: AUROC in evaluation mode, likewise.
    """

    train_eval_gap: float
    batch_dependence: float
    auroc_train: float | None
    auroc_eval: float | None


def batch_effects(
    model: ImageClassifier, dataset: ArrayDataset, batch_size: int, fabric: Fabric, seed: int
) -> BatchEffects:
    """Score the same images in both modes, and among different others.

    In float32, so that rounding is no difference, and with dropout and stochastic depth at rest in both modes.

    Args:
        model: On its device; left as it was.
        dataset: At least two batches of stored pixels.
        batch_size: Images that are scored together.
        fabric: Device.
        seed: Of the batches.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(dataset)) for _ in range(DRAWS)]
    judged = copy.deepcopy(model).eval()
    alone = _scores(judged, dataset, orders[0], batch_size, fabric)
    judged.train()
    for module in judged.modules():
        if isinstance(module, _DropoutNd | DropPath):
            module.eval()
    among = np.stack([_scores(judged, dataset, order, batch_size, fabric) for order in orders])
    spread = max(float(alone.std()), 1e-12)
    labels = dataset.labels[dataset.rows]
    both = len(np.unique(labels)) == 2
    return BatchEffects(
        float(np.abs(among - alone).mean()) / spread,
        float(np.abs(np.diff(among, axis=0)).mean()) / spread,
        float(roc_auc_score(labels, among[0])) if both else None,
        float(roc_auc_score(labels, alone)) if both else None,
    )


def norm_of(network: nn.Module) -> str:
    """The kind of norm in ``network``: ``batch``, ``group``, ``layer`` or ``none``."""
    for kind, name in ((_BatchNorm, "batch"), (nn.GroupNorm, "group"), (nn.LayerNorm, "layer")):
        if any(isinstance(module, kind) for module in network.modules()):
            return name
    return "none"


@torch.no_grad()
def _scores(
    model: ImageClassifier, dataset: ArrayDataset, order: NDArray[np.int64], batch_size: int, fabric: Fabric
) -> NDArray[np.float64]:
    """Log-odds of Defective (N,) by position in ``dataset``, scored in whole batches of ``order``."""
    loader = fetched(batches(dataset, order, batch_size, drop_last=False), fabric.device)
    found = torch.cat([model.scores(batch.inputs) for batch in loader])
    scores = np.empty(len(order))
    scores[order] = found.double().cpu().numpy()
    return scores
