"""From a network's features to the classes."""

from __future__ import annotations

from torch import Tensor, nn

from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.model import HeadConfig
from ssl_pcb.models.layers import build_layer
from ssl_pcb.models.trunks import AttentionPooling, build_trunk


class Head(nn.Module):
    """A trunk, and the layer in which each class has a row of weights.

    Attributes:
        trunk: Features (B, D), or for attention a map (B, D, h, w), to what the layer sees (B, H).
        layer: To logits (B, K).
    """

    def __init__(self, trunk: nn.Module, layer: nn.Linear) -> None:
        super().__init__()
        self.trunk, self.layer = trunk, layer

    @property
    def on_map(self) -> bool:
        """Whether it sees the network's last feature map in place of its pooled features."""
        return isinstance(self.trunk, AttentionPooling)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of what the trunk takes."""
        logits: Tensor = self.layer(self.trunk(features))
        return logits


def build_head(config: HeadConfig, loss: LossConfig, dim: int, classes: int) -> Head:
    """The head that ``config`` names, with the last layer that ``loss`` is made for.

    Args:
        config: Of the head.
        loss: Of the loss.
        dim: Number of features D, from :func:`ssl_pcb.models.trunks.input_dim`.
        classes: Number of classes K.
    """
    trunk, width = build_trunk(config, dim)
    return Head(trunk, build_layer(loss, width, classes))
