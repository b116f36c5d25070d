"""Where a network that learned to find painted defects suspects real ones, before anybody has labelled any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from ssl_pcb.augment.views import plain_view
from ssl_pcb.data.samples import Samples
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.reports.sheet import draw_sheet

PICTURE = "suspects.png"
SHOWN = 12
"""Samples in the picture."""


@torch.no_grad()
def suspicion(network: Backbone, images: Tensor) -> Tensor:
    """The probability of a defect in each cell (B, h, w) of images (B, C, S, S) in [0, 1].

    Where the network judges by the mean over the symmetries, so do the cells.
    """
    found = [
        symmetry.undone(torch.sigmoid(network.maps(symmetry.of(images))[0][:, 0].float())) for symmetry in network.views
    ]
    return torch.stack(found).mean(0)


def picture_suspects(
    network: Backbone,
    samples: Samples,
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    folder: Path,
    fabric: Fabric,
) -> None:
    """Draw ``folder``/suspects.png: the most suspicious samples, the first first, and where they are suspected.

    Args:
        network: Of a pretraining on painted defects, on the device.
        samples: Whose they are.
        rows: (N,) rows of the manifest.
        scores: (N,) suspicion.
        folder: Where to draw.
        fabric: Device and precision.
    """
    network.eval()
    chosen = np.argsort(-scores, kind="stable")[:SHOWN]
    batch = samples.pixels(rows[chosen]).__getitems__(range(len(chosen))).to(fabric.device)
    images = plain_view(batch.inputs, samples.store.spec.size)
    with fabric.autocast():
        found = suspicion(network, images)
    own = slice(network.context, images.shape[-1] - network.context)
    shown = images[..., own, own].cpu()
    channels = samples.store.spec.channels
    pictures = {f"the {len(chosen)} most suspicious samples: row of codes.csv, and score": shown[:, :channels]}
    if samples.references is not None:
        pictures["their golden images"] = shown[:, channels:]
    title = "where a defect is suspected (white: nowhere)"
    pictures[title] = 1 - F.interpolate(found[:, None].cpu(), shown.shape[2:], mode="nearest")
    captions = [f"{row}: {score:.2f}" for row, score in zip(rows[chosen], scores[chosen], strict=True)]
    draw_sheet(pictures, captions, folder / PICTURE)
