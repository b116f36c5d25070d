"""What an autoencoder's pretraining leaves beside its backbone, and how it is taken up again."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError
from safetensors.torch import load_file

from ssl_pcb.config.method import AutoencoderConfig
from ssl_pcb.data.loaders import ArrayDataset
from ssl_pcb.errors import UserError
from ssl_pcb.models.autoencoder import Autoencoder
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.autoencoder import Autoencoding, Shown
from ssl_pcb.reports.reconstructions import draw_reconstructions
from ssl_pcb.training.checkpoint import HEAD, save_head
from ssl_pcb.training.runtime import make_generator

log = logging.getLogger(__name__)

PICTURE = "reconstructions.png"
SHOWN = 8
"""Samples in the picture."""


def finish_autoencoder(objective: Autoencoding, excerpt: ArrayDataset, folder: Path, fabric: Fabric, seed: int) -> None:
    """Write bottleneck and decoder to ``folder``/head.safetensors, and a picture of reconstructions beside it.

    Args:
        objective: Trained, on the device.
        excerpt: Stored pixels to show.
        folder: The run folder.
        fabric: Device and precision.
        seed: The run's seed.
    """
    save_head(objective.network.head(), folder)
    shown = show(objective, excerpt, fabric, seed)
    draw_reconstructions(shown.inputs, shown.targets, shown.rebuilt, folder / PICTURE)
    log.info("inputs, reconstructions and differences: %s", folder / PICTURE)


@torch.no_grad()
def show(objective: Autoencoding, excerpt: ArrayDataset, fabric: Fabric, seed: int) -> Shown:
    """Reconstructions of the first samples as training draws them, with the network in eval mode; on the CPU."""
    was_training = objective.training
    objective.eval()
    batch = excerpt.__getitems__(list(range(min(SHOWN, len(excerpt))))).to(fabric.device)
    with fabric.autocast():
        found = objective.show(batch, make_generator(fabric.device, seed, "picture"))
    objective.train(was_training)
    return Shown(*(images.float().cpu() for images in found))


def load_autoencoder(config: AutoencoderConfig, backbone: Backbone, size: int, folder: Path) -> Autoencoder:
    """The autoencoder of a run folder.

    Args:
        config: As the run's config has it.
        backbone: With the run's weights.
        size: The run's image size.
        folder: The run folder.

    Raises:
        UserError: If its head is missing, damaged, or of another autoencoder.
    """
    network, file = Autoencoder(config, backbone, size), folder / HEAD
    if not file.is_file():
        raise UserError(f"{folder}: holds no {HEAD}; give the folder of a finished autoencoder run")
    try:
        missing, unexpected = network.load_state_dict(load_file(file), strict=False)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UserError(f"{file}: does not fit the run's config ({str(error).splitlines()[-1].strip()})") from None
    lost = [name for name in missing if not name.startswith("backbone.")] + unexpected
    if lost:
        raise UserError(f"{file}: does not fit the run's config, first at tensor '{lost[0]}'")
    return network
