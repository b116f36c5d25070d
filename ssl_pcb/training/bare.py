"""Weights of a bare timm network, which an ssl-pcb backbone takes into itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame
from timm.models import adapt_input_conv
from torch import Tensor, nn

from ssl_pcb.models.backbones import Backbone

log = logging.getLogger(__name__)


def fit_channels(backbone: Backbone, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` with the first convolution made for as many input channels as ``backbone`` has.

    timm's own way: for one channel the weights of all are summed, which computes of a grey picture what they compute of
    the same picture in colour; for more they are repeated.

    Args:
        backbone: Freshly built.
        tensors: Of the bare network, perhaps for other images.
    """
    fitted, parts = dict(tensors), dict(backbone.network.named_modules())
    for name in _names(backbone, "first_conv"):
        conv, weight = parts.get(name), fitted.get(f"{name}.weight")
        if not isinstance(conv, nn.Conv2d) or weight is None or weight.shape == conv.weight.shape or weight.ndim != 4:
            continue
        # Some networks fold neighbouring pixels into channels before their first convolution.
        channels = weight.shape[1] * conv.groups * backbone.channels // conv.in_channels
        if channels in (0, backbone.channels):
            continue
        adapted: Tensor = adapt_input_conv(backbone.channels, weight, channels)
        fitted[f"{name}.weight"] = adapted
        gain = fitted.get(f"{name}.gain")
        if isinstance(conv, ScaledStdConv2d | ScaledStdConv2dSame) and gain is not None:
            # Standardised weights lose their scale, and no norm behind them brings it back.
            fitted[f"{name}.gain"] = gain * (_spread(adapted) / _spread(weight)).reshape(gain.shape)
        log.info("weights for images of %d channel(s): first layer adapted to %d", channels, backbone.channels)
    return fitted


def classifier_names(backbone: Backbone) -> tuple[str, ...]:
    """How names of the tensors begin that belong to the network's own classifier."""
    return tuple(f"{name}." for name in _names(backbone, "classifier"))


def _names(backbone: Backbone, key: str) -> tuple[str, ...]:
    recipe: Any = backbone.network.pretrained_cfg
    names = recipe.get(key) or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _spread(weight: Tensor) -> Tensor:
    """Length of each filter about its mean."""
    flat = weight.flatten(1)
    return (flat - flat.mean(1, keepdim=True)).square().sum(1).sqrt()
