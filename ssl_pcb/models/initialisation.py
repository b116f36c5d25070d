"""Random weights that a network begins with."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def begin_as_he(module: nn.Module) -> None:
    """Draw convolutions from He et al.'s normal distribution; set norms to 1 and 0, biases to 0 (arXiv 1502.01852).

    Of the two forms in that paper it is the one that the ResNet and DenseNet papers' code has: the variance is 2 over
    the connections that leave a channel, k * k * outputs. In a grouped convolution only those of its own group do.
    Linear weights stay as they are.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            leaving = math.prod(layer.kernel_size) * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, std=math.sqrt(2 / leaving))
        elif isinstance(layer, _BatchNorm | nn.GroupNorm | nn.LayerNorm) and layer.weight is not None:
            nn.init.ones_(layer.weight)
        elif not isinstance(layer, nn.Linear):
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
