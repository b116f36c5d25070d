"""The last layer, in which each class has a row of weights: what a loss is made for belongs to it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.margin_losses import (
    L2ConstrainedSoftmaxConfig,
    LargeMarginSoftmaxConfig,
    LDAMConfig,
    TemperatureConfig,
)
from ssl_pcb.losses.precision import at_least_float32


class NormalisedLinear(nn.Linear):
    """A linear layer on features of one length; with weights of length 1, ``length`` times the cosine.

    Features of length alpha are of Ranjan et al. 2017 (arXiv 1703.09507), scaled cosines of Wang et al. 2017 (NormFace,
    arXiv 1704.06369).
    """

    def __init__(self, dim: int, classes: int, *, length: float, unit_weights: bool) -> None:
        """Make the layer; unit weights take no bias.

        Args:
            dim: Number of features D.
            classes: Number of classes K.
            length: What all features are brought to.
            unit_weights: Whether the weights of each class are brought to length 1.
        """
        super().__init__(dim, classes, bias=not unit_weights)
        self.length, self.unit_weights = length, unit_weights

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, D)."""
        with torch.autocast(features.device.type, enabled=False):
            weight, bias = (None if each is None else at_least_float32(each) for each in (self.weight, self.bias))
            assert weight is not None
            if self.unit_weights:
                weight = F.normalize(weight)
            return F.linear(self.length * F.normalize(at_least_float32(features)), weight, bias)


class TemperedLinear(nn.Linear):
    """A linear layer whose logits are divided by a temperature (Hinton et al. 2015, arXiv 1503.02531).

    It is kept as its logarithm, so that a learned one stays positive.
    """

    def __init__(self, dim: int, classes: int, *, temperature: float, learned: bool) -> None:
        super().__init__(dim, classes)
        self.learned = learned
        self.log_temperature: Tensor
        start = torch.tensor(math.log(temperature))
        if learned:
            self.log_temperature = nn.Parameter(start)
        else:
            self.register_buffer("log_temperature", start)

    @property
    def temperature(self) -> float:
        """The present temperature."""
        return math.exp(float(self.log_temperature.detach()))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, D)."""
        return at_least_float32(super().forward(features)) * torch.exp(-self.log_temperature)


def build_layer(loss: LossConfig, dim: int, classes: int) -> nn.Linear:
    """The last layer that ``loss`` is made for: linear, unless it asks for something else.

    Args:
        loss: Of the loss.
        dim: Number of features D.
        classes: Number of classes K.
    """
    match loss:
        case LargeMarginSoftmaxConfig():
            return nn.Linear(dim, classes, bias=False)
        case L2ConstrainedSoftmaxConfig():
            return NormalisedLinear(dim, classes, length=loss.alpha, unit_weights=False)
        case LDAMConfig():
            return NormalisedLinear(dim, classes, length=loss.scale, unit_weights=True)
        case TemperatureConfig():
            return TemperedLinear(dim, classes, temperature=loss.temperature, learned=loss.learned)
        case _:
            return nn.Linear(dim, classes)
