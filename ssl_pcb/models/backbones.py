"""Feature extractors from timm."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from timm.layers.norm import GroupNorm
from timm.layers.norm_act import BatchNormAct2d, GroupNormAct, freeze_batch_norm_2d
from torch import Tensor, nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError

GROUPS = 32
"""Most groups of a group norm, the number that its paper settles on (Wu and He 2018, arXiv 1803.08494)."""


class Backbone(nn.Module):
    """A timm network that turns images in [0, 1] into pooled features.

    Normalisation of the input is part of the module, so that weights and the scale that they expect travel
    together.

    Attributes:
        name: timm model name.
        channels: Input channels, 1 or 3.
        norm: ``own``, ``group`` or ``frozen``, as in the config.
        dim: Number of features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig, channels: int) -> None:
        """Build the network.

        Args:
            config: Name, start weights and norm.
            channels: Input channels, 1 or 3.

        Raises:
            UserError: If timm has no model of that name, its weights cannot be had, it takes one image size only, or
                the norm does not go with network or weights.
        """
        super().__init__()
        self.name, self.channels, self.norm = config.name, channels, config.norm
        self.network = _with_norm(_create(config, channels), config)
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

    def feature_map(self, images: Tensor) -> Tensor:
        """The last feature map (B, D, h, w), before pooling, of images (B, C, H, W) in [0, 1]."""
        found: Tensor = self.network.forward_features((images - self.mean) / self.std)  # type: ignore[operator]
        return found

    @torch.no_grad()
    def map_depth(self, stride: int) -> int:
        """Channels of :meth:`feature_map`.

        Raises:
            UserError: If it is not a map of one value for ``stride`` x ``stride`` pixels.
        """
        was_training = self.training
        shape = tuple(self.eval().feature_map(self.mean.new_zeros(1, self.channels, 2 * stride, 2 * stride)).shape)
        self.train(was_training)
        if len(shape) != 4 or shape[2:] != (2, 2):
            raise UserError(
                f"backbone.name: '{self.name}' ends in no feature map at stride {stride}; "
                "choose another, for instance resnet18"
            )
        return shape[1]


@torch.no_grad()
def refuse_size(network: nn.Module, channels: int, size: int) -> None:
    """Refuse images of ``size`` pixels that ``network`` cannot take, before anything is trained.

    Raises:
        UserError: With what the network says of it.
    """
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, channels, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"data.image_size: {size} px do not suit the network ({str(error).splitlines()[0]}); choose another size, "
            "or a convolutional backbone"
        ) from None
    network.train(was_training)


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


def _with_norm(network: nn.Module, config: BackboneConfig) -> nn.Module:
    if config.norm == "own":
        return network
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        raise UserError(f"backbone.norm: '{config.name}' has no batch norm to replace; set backbone.norm=own")
    if config.norm == "frozen":
        frozen: nn.Module = freeze_batch_norm_2d(network)  # type: ignore[no-untyped-call]
        return frozen
    if config.weights == "timm":
        raise UserError(
            "backbone.norm: timm's weights were learnt with batch norm and are of no use under group norm; "
            "set backbone.weights=none or backbone.norm=frozen"
        )
    _replace_batch_norm(network)
    return network


def _replace_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _group_norm(child))
        else:
            _replace_batch_norm(child)


def _group_norm(batch_norm: nn.BatchNorm2d) -> nn.Module:
    channels = batch_norm.num_features
    # At least two channels to a group: one alone is always zero where the feature map has shrunk to one pixel.
    groups = max(n for n in range(1, GROUPS + 1) if channels % n == 0 and (n == 1 or 2 * n <= channels))
    if isinstance(batch_norm, BatchNormAct2d):
        norm: nn.Module = GroupNormAct(channels, groups, eps=batch_norm.eps, affine=batch_norm.affine)
        norm.act, norm.drop = batch_norm.act, batch_norm.drop
    else:
        norm = GroupNorm(channels, groups, eps=batch_norm.eps, affine=batch_norm.affine)
    if batch_norm.affine:  # networks start the last norm of a residual branch at zero
        norm.weight, norm.bias = batch_norm.weight, batch_norm.bias
    return norm


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
