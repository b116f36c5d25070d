"""What a pretraining on painted defects leaves beside its backbone: a picture of what it finds."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric

from ssl_pcb.augment.defects.paint import CLEAR, NULL
from ssl_pcb.augment.difference import DIFFERENT, contrasted
from ssl_pcb.data.loaders import ArrayDataset
from ssl_pcb.objectives.defect_pretext import DefectPretext
from ssl_pcb.objectives.reference_pretext import ReferencePretext
from ssl_pcb.reports.defect_maps import draw_defect_maps
from ssl_pcb.training.runtime import make_generator

log = logging.getLogger(__name__)

FEWEST_SEEN = 0.7
"""Share of painted defects of which something must be clear, or else that is said: of blank pictures half are."""

MOST_DIFFERENT = 0.2
"""Share of the places that may differ from their golden images before that is said."""

PICTURE = "defect_maps.png"
LOOKED_AT, SHOWN = 256, 12
"""Samples that are compared with their golden images, and those in the picture."""


@torch.no_grad()
def warn_of_other_light(objective: DefectPretext, excerpt: ArrayDataset) -> None:
    """Say where images differ from their golden images in many places: these are of no help there.

    Args:
        objective: What is trained.
        excerpt: Stored pixels to look at.
    """
    if not isinstance(objective, ReferencePretext):
        return
    inputs = excerpt.__getitems__(list(range(min(LOOKED_AT, len(excerpt))))).inputs.float() / 255
    differs = contrasted(*inputs.chunk(2, 1)) >= DIFFERENT
    share = F.max_pool2d(differs.float(), objective.backbone.cell).mean().item()
    if share > MOST_DIFFERENT:
        log.warning(
            "images differ from their golden images in %.0f %% of all places, where it can only learn to judge by "
            "the image alone; take both in the same light and align them, unless they were put together from "
            "repeats", 100 * share,
        )  # fmt: skip


@torch.no_grad()
def warn_of_hidden_defects(objective: DefectPretext, excerpt: ArrayDataset, seed: int) -> None:
    """Say where most painted defects cannot be seen: there is then little to learn.

    Args:
        objective: What is trained.
        excerpt: Stored pixels to paint on.
        seed: The run's seed.
    """
    batch = excerpt.__getitems__(list(range(min(LOOKED_AT, len(excerpt)))))
    painted = objective.show(batch, make_generator(torch.device("cpu"), seed, "excerpt")).painted
    drawn = painted.kinds != NULL
    share = (painted.clear.flatten(1).any(1) & drawn).sum().item() / max(1, drawn.sum().item())
    if share < FEWEST_SEEN:
        log.warning(
            "of the painted defects %.0f %% can be seen: the pictures show hardly any pattern, or one too faint; leave "
            "blank ones out, or paint what needs no pattern (method.defect.generators)",
            100 * share,
        )  # fmt: skip


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
    painted = shown.painted
    images, golden = shown.images.cpu().tensor_split([painted.images.shape[1]], 1)
    with fabric.autocast():
        found = objective.backbone.fused(objective.backbone.wide_maps(shown.images))
    objective.train(was_training)
    generators = objective.config.defect.generators
    names = [
        generators[kind] if kind != NULL else "retouched" if retouched else "nothing"
        for kind, retouched in zip(painted.kinds.tolist(), painted.retouched.tolist(), strict=True)
    ]
    suspicion = torch.sigmoid(found[:, 0].float())
    change = (CLEAR * painted.change / painted.least).clamp(max=1)  # that of a faint board would hardly be seen
    draw_defect_maps(images, golden, change.cpu(), suspicion.cpu(), names, folder / PICTURE)
    log.info("painted defects and where they are suspected: %s", folder / PICTURE)
