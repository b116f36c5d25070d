"""Feature extractors from timm."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError


class Backbone(nn.Module):
    """A timm network that turns images in [0, 1] into pooled features.

    Normalisation of the input is part of the module, so that weights and the scale that they expect travel
    together.

    Attributes:
        name: timm model name.
        channels: Input channels, 1 or 3.
        dim: Number of features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig, channels: int) -> None:
        """Build the network.

        Args:
            config: Name and start weights.
            channels: Input channels, 1 or 3.

        Raises:
            UserError: If timm has no model of that name, its weights cannot be had, or it takes one image size only.
        """
        super().__init__()
        self.name, self.channels = config.name, channels
        self.network = _create(config, channels)
        pretrained = config.weights == "timm"
        recipe: Any = self.network.pretrained_cfg if pretrained else {"mean": [0.5], "std": [0.25]}
        for key in ("mean", "std"):
            value = torch.tensor(recipe[key])
            self.register_buffer(key, (value if len(value) == channels else value.mean()).reshape(-1, 1, 1))
        self.dim = _feature_dim(self)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, dim) of images (B, C, H, W) in [0, 1]."""
        features: Tensor = self.network((images - self.mean) / self.std)
        return features


def _create(config: BackboneConfig, channels: int) -> nn.Module:
    if not timm.is_model(config.name):
        near = difflib.get_close_matches(config.name, timm.list_models(), n=1)
        raise UserError(
            f"backbone.name: timm has no model '{config.name}'" + (f", did you mean {near[0]}?" if near else "")
        )
    try:
        return timm.create_model(
            config.name,
            pretrained=config.weights == "timm",
            in_chans=channels,
            num_classes=0,
            drop_rate=config.drop_rate,
        )
    except (OSError, RuntimeError) as error:
        if config.weights == "none":
            raise
        raise UserError(
            f"backbone.weights: timm could not give weights for '{config.name}' "
            f"({str(error).splitlines()[0]}); set backbone.weights=none or pass a file with --checkpoint"
        ) from None


@torch.no_grad()
def _feature_dim(backbone: Backbone) -> int:
    # timm's num_features is not the pooled width of every family; one tiny forward pass is.
    backbone.eval()
    try:
        dim = backbone(torch.zeros(1, backbone.channels, 64, 64)).shape[1]
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"backbone.name: '{backbone.name}' does not take images of any size ({str(error).splitlines()[0]}); "
            "choose another, for instance a convolutional one"
        ) from None
    backbone.train()
    return int(dim)
