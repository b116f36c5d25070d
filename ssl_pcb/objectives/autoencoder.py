"""Autoencoding: the image is rebuilt from a few numbers, possibly from a spoilt version of itself."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_pcb.augment.corruption import corrupt
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import AutoencoderConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.errors import UserError
from ssl_pcb.losses.reconstruction import reconstruction_loss
from ssl_pcb.models.autoencoder import Autoencoder
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.output import StepOutput


class Shown(NamedTuple):
    """Images (B, C, S, S) in [0, 1] of one step: what the network saw, should have made of it, and made of it."""

    inputs: Tensor
    targets: Tensor
    rebuilt: Tensor


class Autoencoding(nn.Module):
    """An autoencoder and its reconstruction loss.

    Attributes:
        network: Backbone, bottleneck and decoder.
    """

    def __init__(self, config: AutoencoderConfig, backbone: Backbone, views: ViewMaker) -> None:
        """Put a bottleneck and a decoder behind ``backbone``.

        Raises:
            UserError: If squares to hide are larger than half an image, or the backbone does not suit.
        """
        super().__init__()
        if config.corruption == "mask" and 2 * config.mask_size > views.size:
            raise UserError(
                f"method.mask_size: squares of {config.mask_size} px leave no grid in images of {views.size} px; "
                f"set it to at most {views.size // 2}"
            )
        self.config, self.views = config, views
        self.network = Autoencoder(config, backbone, views.size)

    @property
    def backbone(self) -> Backbone:
        """The part that is kept after pretraining."""
        return self.network.backbone

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """One step on a batch of stored pixels under one random view each."""
        shown = self.show(batch, generator)
        return StepOutput(*reconstruction_loss(shown.rebuilt, shown.targets, self.config))

    def show(self, batch: Batch, generator: torch.Generator) -> Shown:
        """Draw targets and inputs as training does, and rebuild them."""
        with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
            targets = self.views(batch.inputs, generator)
            inputs = corrupt(targets, self.config, generator)
        return Shown(inputs, targets, self.network(inputs))
