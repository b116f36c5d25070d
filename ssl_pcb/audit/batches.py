"""Batches of labelled samples as training draws them, with their boxes and clean twins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ssl_pcb.audit.augmentations import NO_BOX, open_rows
from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.config.sampler import SamplerConfig
from ssl_pcb.data.boxes import defect_boxes
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.samplers import build_sampler
from ssl_pcb.errors import UserError


@dataclass(frozen=True)
class AuditBatch:
    """Labelled samples.

    Attributes:
        pixels: (B, C, H, H) uint8 with their ring of surroundings.
        twins: The same, with the clean twin in the place of each sample that has one.
        labels: (B,) class indices.
        boxes: (B, M, 4) defects in shares of the sample's side, see :func:`ssl_pcb.data.boxes.defect_boxes`.
        marked: (B,) bool: whether the boxes are the manifest's, and not all of an unmarked sample.
    """

    pixels: Tensor
    twins: Tensor
    labels: Tensor
    boxes: Tensor
    marked: Tensor


def training_batches(
    source: PixelSource, sampler: SamplerConfig, batch_size: int, *, samples: int, epochs: int, seed: int
) -> Iterator[AuditBatch]:
    """Batches of at most ``samples`` samples in each of some epochs; none is of split ``test``.

    Raises:
        UserError: If no sample shows a defect box, or on an unreadable image unless ``skip_bad``.
    """
    frame = source.manifest.frame
    rows = np.flatnonzero(open_rows(source) & frame["label"].ne(""))
    if not (frame["boxes"].ne("") & frame["label"].eq("Defective")).iloc[rows].any():
        raise UserError(NO_BOX)
    labels = np.array([LABELS.index(label) for label in frame["label"].iloc[rows]])
    order = build_sampler(sampler, labels, seed, batch_size)
    for epoch in range(epochs):
        shown = rows[order.epoch(epoch)[:samples] % len(rows)]
        # A last batch that is not full is left out, as in training, unless it is the only one.
        for start in range(0, max(1, len(shown) - batch_size + 1), batch_size):
            yield read_batch(source, shown[start : start + batch_size].tolist())


def read_batch(source: PixelSource, rows: Sequence[int]) -> AuditBatch:
    """The samples of ``rows`` that can be read.

    Raises:
        UserError: On an unreadable image or twin, unless ``skip_bad``.
    """
    found = list(source.read(rows))
    kept = np.array([row for row, _, _ in found], np.int64)
    frame, sizes = source.manifest.frame.iloc[kept], np.array([source.size_of(row) for row in kept], np.int32)
    return AuditBatch(
        pixels=torch.stack([pixels for _, pixels, _ in found]),
        twins=torch.stack([pixels if twin is None else twin for _, pixels, twin in found]),
        labels=torch.tensor([LABELS.index(label) for label in frame["label"]]),
        boxes=torch.from_numpy(defect_boxes(source.manifest, kept, sizes, source.data.image_size, source.data.context)),
        marked=torch.tensor(frame["boxes"].ne("").to_list()),
    )
