"""From a network's features to the classes."""

from __future__ import annotations

from torch import Tensor, nn

from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.model import HeadConfig, LinearHeadConfig
from ssl_pcb.models.layers import build_layer


class Head(nn.Module):
    """A trunk, and the layer in which each class has a row of weights.

    Attributes:
        trunk: Features (B, D) to what the layer sees (B, H); of a linear head the identity.
        layer: To logits (B, K).
    """

    def __init__(self, trunk: nn.Module, layer: nn.Linear) -> None:
        super().__init__()
        self.trunk, self.layer = trunk, layer

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, D)."""
        logits: Tensor = self.layer(self.trunk(features))
        return logits


def build_head(config: HeadConfig, loss: LossConfig, dim: int, classes: int) -> Head:
    """The head that ``config`` names, with the last layer that ``loss`` is made for.

    Args:
        config: Of the head.
        loss: Of the loss.
        dim: Number of features D.
        classes: Number of classes K.
    """
    match config:
        case LinearHeadConfig():
            return Head(nn.Identity(), build_layer(loss, dim, classes))
