"""Blur before pixels are skipped: a shift of the image by one pixel then changes features little.

Zhang 2019 (arXiv 1904.11486).
"""

from __future__ import annotations

from typing import Any

import timm
from timm.layers.blur_pool import BlurPool2d
from torch import Tensor, nn

from ssl_pcb.errors import UserError


class Blur(BlurPool2d):
    """timm's blur at every pixel, of which those between are then left out.

    The same values as its convolution with a stride, whose backward in bfloat16 is slow on CPUs, however small the map.
    """

    def __init__(self, channels: int, stride: int = 2, **keys: Any) -> None:
        super().__init__(channels, stride=1, **keys)
        self.step = stride

    def forward(self, x: Tensor) -> Tensor:
        """Blurred maps (B, C, H / stride, W / stride) of ``x`` (B, C, H, W), rounded up."""
        return super().forward(x)[..., :: self.step, :: self.step]


def create_antialiased(name: str, **keys: Any) -> nn.Module:
    """The timm model ``name`` with blurs; its weights have the names and shapes of the plain one's.

    Args:
        name: timm model name.
        keys: Further arguments of ``timm.create_model``.

    Raises:
        UserError: If timm has no anti-aliasing layers for it.
    """
    refusal = UserError(
        f"backbone.antialias: timm offers no anti-aliased '{name}'; set it to false, or choose a resnet, resnext, "
        "densenet, efficientnet or mobilenet, for instance resnet18"
    )
    try:
        network = timm.create_model(name, aa_layer=Blur, **keys)
    except (TypeError, AssertionError) as error:
        if "aa_layer" not in str(error):
            raise
        raise refusal from None
    if not any(isinstance(module, Blur) for module in network.modules()):
        raise refusal
    _blur_shortcuts(network)
    return network


class _BlurredShortcut(nn.Conv2d):
    """A 1 x 1 convolution behind a blur, in the place of one that reads every second pixel and nothing between."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__(plain.in_channels, plain.out_channels, 1, groups=plain.groups, bias=plain.bias is not None)
        self.weight, self.bias = plain.weight, plain.bias
        self.blur = Blur(plain.in_channels)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(self.blur(input))


def _blur_shortcuts(module: nn.Module) -> None:
    """Do to the shortcuts of residual blocks what the paper does there and timm does not."""
    for name, child in module.named_children():
        if type(child) is nn.Conv2d and child.kernel_size == (1, 1) and child.stride == (2, 2):
            setattr(module, name, _BlurredShortcut(child))
        else:
            _blur_shortcuts(child)
