"""The first stages of a pretrained encoder in the place of an interpolated small image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.symmetries import OverSymmetries


class Downsizer(nn.Module):
    """The stages of a backbone up to a stride; the later ones are thrown away.

    Attributes:
        depth: Channels of the map.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Backbone, stride: int, *, frozen: bool) -> None:
        """Take over the stages of ``encoder``, which is of no other use afterwards.

        Raises:
            UserError: If it has no feature map at that stride.
        """
        super().__init__()
        self.network = encoder.network
        self.frozen = frozen
        self.register_buffer("mean", encoder.mean)
        self.register_buffer("std", encoder.std)
        network: Any = encoder.network
        stages = list(getattr(network, "feature_info", None) or [])
        levels = [level for level, stage in enumerate(stages) if stage["reduction"] == stride]
        if not levels:
            raise UserError(
                f"downsizer.stride: '{encoder.name}' has no feature map at stride {stride}; choose another stride, "
                "or a checkpoint of a convolutional network such as resnet18"
            )
        self.level = levels[-1]
        self.depth = int(stages[self.level]["num_chs"])
        network.prune_intermediate_layers([self.level], prune_norm=True, prune_head=True)
        self.requires_grad_(not frozen)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, depth, S / stride, S / stride) of images (B, C, S, S) in [0, 1]."""
        network: Any = self.network
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            found: Tensor = network.forward_intermediates(
                (images - self.mean) / self.std, indices=[self.level], intermediates_only=True, stop_early=True
            )[0]
            return found

    def train(self, mode: bool = True) -> Downsizer:
        """As of any module, but a frozen one keeps its statistics."""
        super().train(mode and not self.frozen)
        return self


class DownsizedBackbone(OverSymmetries):
    """A classifier's backbone behind a downsizer; stands where a :class:`Backbone` stands.

    Attributes:
        name: Names both networks, so that the weights are not taken for a bare backbone's.
        channels: Input channels, 1 or 3.
        norm: Of the classifier's backbone.
        antialias: Of the classifier's backbone.
        tta: Of the classifier's backbone: views of the image, not of what the encoder makes of it.
        dim: Number of features.
        design: What the weights do not tell of both networks.
    """

    def __init__(self, encoder: Backbone, classifier: BackboneConfig, config: DownsizerConfig) -> None:
        """Put ``classifier``, built here from random weights, behind the first stages of ``encoder``.

        Raises:
            UserError: If the encoder has no feature map at the stride, or the classifier asks for start weights.
        """
        super().__init__()
        if classifier.weights != "none":
            raise UserError("backbone.weights: weights learned on images do not fit a map; set them to none")
        if classifier.norm == "frozen":
            raise UserError("backbone.norm: frozen batch norm needs start weights, and none fit a map; set it to group")
        self.name = f"{classifier.name} behind {encoder.name} at stride {config.stride}"
        self.channels = encoder.channels
        self.downsizer = Downsizer(encoder, config.stride, frozen=config.frozen)
        # Maps have other scales than images, which the backbone expects: the norm brings them to one.
        self.squeeze = nn.Sequential(
            nn.Conv2d(self.downsizer.depth, config.channels, 1, bias=False), nn.GroupNorm(1, config.channels)
        )
        self.backbone = Backbone(classifier, config.channels)
        self.norm, self.antialias, self.dim = self.backbone.norm, self.backbone.antialias, self.backbone.dim
        frozen = "frozen" if config.frozen else "trained"
        self.design = f"{self.backbone.design} behind {encoder.design} {frozen} at {config.stride}"
        self.tta, self.backbone.tta = self.backbone.tta, False

    def features(self, images: Tensor) -> Tensor:
        """Features (B, dim) of images (B, C, S, S) in [0, 1], from one view of each."""
        features: Tensor = self.backbone(self.small(images))
        return features

    def feature_map(self, images: Tensor) -> Tensor:
        """The last feature map (B, D, h, w), before pooling, of images (B, C, S, S) in [0, 1]."""
        return self.backbone.feature_map(self.small(images))

    def small(self, images: Tensor) -> Tensor:
        """What the classifier's backbone sees (B, channels, h, w) of images (B, C, S, S) in [0, 1]."""
        small: Tensor = self.squeeze(self.downsizer(images))
        return small
