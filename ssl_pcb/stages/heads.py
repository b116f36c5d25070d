"""Where finetuning's linear head begins."""

from __future__ import annotations

import logging

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from ssl_pcb.data.samples import Samples
from ssl_pcb.evaluation.features import extract_features
from ssl_pcb.evaluation.probes import LogisticProbe, logistic_probe
from ssl_pcb.models.layers import TemperedLinear
from ssl_pcb.objectives.classification import ImageClassifier

log = logging.getLogger(__name__)


def start_from_probe(
    model: ImageClassifier, samples: Samples, rows: NDArray[np.int64], val_rows: NDArray[np.int64], fabric: Fabric
) -> None:
    """Let the head of ``model`` begin as the logistic probe of its backbone's features.

    A random head first pulls the features to where it happens to look, and most so where labels are few (Kumar et al.
    2022, arXiv 2202.10054).

    Args:
        model: With the weights that it starts from; its head is overwritten.
        samples: Pixels and labels.
        rows: To fit on, without augmentation.
        val_rows: To choose C on.
        fabric: Device, precision and processes; each of them fits the same.
    """
    model.to(fabric.device)
    train, val = (
        extract_features(model.backbone, samples.pixels(each), model.size, fabric) for each in (rows, val_rows)
    )
    probe = logistic_probe(train, samples.labels[rows], val, samples.labels[val_rows])
    set_head(model.classifier.head.layer, probe)
    log.info("the head begins as a logistic probe (C=%g) of the %d features", probe.c, len(probe.weight))


@torch.no_grad()
def set_head(head: nn.Linear, probe: LogisticProbe) -> None:
    """Give the two classes' logits of ``head`` the log-odds of ``probe`` as their difference, half to each.

    A head without a bias has them but for a constant, which moves no sample past another.
    """
    weight = probe.weight / probe.scale
    bias = probe.bias - float(weight @ probe.mean)
    temperature = head.temperature if isinstance(head, TemperedLinear) else 1.0
    head.weight.copy_(torch.from_numpy(np.stack([-weight, weight]) / 2 * temperature))
    if head.bias is not None:
        head.bias.copy_(torch.tensor([-bias, bias]) / 2 * temperature)
