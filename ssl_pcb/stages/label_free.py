"""What a network says of unseen images before anybody has labelled one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssl_pcb.augment.difference import difference
from ssl_pcb.augment.views import plain_view
from ssl_pcb.config.load import load_config
from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.data.loaders import batches
from ssl_pcb.data.samples import Samples
from ssl_pcb.evaluation.neighbours import NEAREST, distance_to_nearest
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.probing import Features, Probed

AT_ONCE = 64
"""Pairs of image and golden image that are compared at a time."""
SEEN = 5
"""Side in pixels of the least place that a difference must fill to count in full."""


def one_class(features: Features, bank: NDArray[np.float32]) -> Probed:
    """The mean cosine distance to the nearest of ``bank``: what is unlike all training images is suspicious.

    These are all there are, labelled or not: without the assumption of those who proposed it that all are good.
    """
    scores = {split: distance_to_nearest(bank, found, NEAREST) for split, found in features.items() if split != "train"}
    return Probed("one_class", f"k={min(NEAREST, len(bank))}", scores)


def greatest_difference(images: Tensor, references: Tensor) -> Tensor:
    """(B,) how far (B, C, S, S) images differ from their golden images, in the place where they do most."""
    return F.avg_pool2d(difference(images, references), SEEN, 1).amax((1, 2, 3))


def reference_difference(samples: Samples, splits: list[str]) -> Iterator[Probed]:
    """The place of each image that differs most from its golden image, where there are golden images; no network.

    What inspection machines did before there were networks, and a floor for those that are given golden images too.
    """
    if samples.references is None:
        return
    size, channels, scores = samples.store.spec.own, samples.store.spec.channels, {}
    for split in splits:
        rows, found = samples.rows(split, labelled=True), []
        for batch in batches(samples.pixels(rows), np.arange(len(rows)), AT_ONCE, drop_last=False):
            view = plain_view(batch.inputs, size)
            found.append(greatest_difference(view[:, :channels], view[:, channels:]))
        scores[split] = torch.cat(found).double().numpy()
    yield Probed("reference_difference", "max", scores)


def defect_map(features: Features, checkpoint: str) -> Iterator[Probed]:
    """The most suspicious place of each image, if ``checkpoint`` is a run that learned to find painted defects.

    Its network's first feature is that (:class:`~ssl_pcb.objectives.defect_pretext.DefectPretext`).
    """
    folder = Path(checkpoint)
    if checkpoint == "none" or not folder.is_dir() or read_run(folder).get("stage") != "pretrain":
        return
    if isinstance(load_config(PretrainConfig, folder / "config.yaml").method, DefectPretextConfig):
        scores = {split: found[:, 0].astype(np.float64) for split, found in features.items() if split != "train"}
        yield Probed("defect_map", "max", scores)
