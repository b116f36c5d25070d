"""What a pretraining on painted defects leaves beside its backbone: a picture of what it finds."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from lightning_fabric import Fabric

from ssl_pcb.augment.defects.paint import NULL
from ssl_pcb.data.loaders import ArrayDataset
from ssl_pcb.objectives.defect_pretext import DefectPretext
from ssl_pcb.reports.defect_maps import draw_defect_maps
from ssl_pcb.training.runtime import make_generator

log = logging.getLogger(__name__)

PICTURE = "defect_maps.png"
SHOWN = 12
"""Samples in the picture."""


@torch.no_grad()
def picture_defects(objective: DefectPretext, excerpt: ArrayDataset, folder: Path, fabric: Fabric, seed: int) -> None:
    """Draw ``folder``/defect_maps.png: the first samples with defects as training paints them, and the maps of them.

    Args:
        objective: Trained, on the device.
        excerpt: Stored pixels to show.
        folder: The run folder.
        fabric: Device and precision.
        seed: The run's seed.
    """
    was_training = objective.training
    objective.eval()
    batch = excerpt.__getitems__(list(range(min(SHOWN, len(excerpt))))).to(fabric.device)
    shown = objective.show(batch, make_generator(fabric.device, seed, "picture"))
    images, painted = shown.images[:, : shown.painted.images.shape[1]], shown.painted  # without golden images
    with fabric.autocast():
        found = objective.backbone.fused(objective.backbone.wide_maps(shown.images))
    objective.train(was_training)
    generators = objective.config.defect.generators
    names = [
        generators[kind] if kind != NULL else "retouched" if retouched else "nothing"
        for kind, retouched in zip(painted.kinds.tolist(), painted.retouched.tolist(), strict=True)
    ]
    suspicion = torch.sigmoid(found[:, 0].float())
    draw_defect_maps(images.cpu(), painted.change.cpu(), suspicion.cpu(), names, folder / PICTURE)
    log.info("painted defects and where they are suspected: %s", folder / PICTURE)
