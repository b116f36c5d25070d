"""Networks that are trained through their last feature map in place of their pooled features."""

from __future__ import annotations

import torch

from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.feature_maps import PROBE


def set_rest_aside(backbone: Backbone) -> None:
    """Leave out of the training what lies behind the feature map: nothing would train it.

    Several processes wait for each other's gradients, for ever if one never comes.

    Raises:
        UserError: If that is more than a norm: pooled features would pass through layers that stay random.
    """
    was_training = backbone.training
    named = [(name, value) for name, value in backbone.named_parameters() if value.requires_grad]
    with torch.enable_grad():
        shown = backbone.mean.new_zeros(1, backbone.channels, PROBE, PROBE)
        total = backbone.eval().feature_map(shown).sum()
    reached = torch.autograd.grad(total, [value for _, value in named], allow_unused=True)
    backbone.train(was_training)
    rest = [each for each, gradient in zip(named, reached, strict=True) if gradient is None]
    if deep := [name for name, value in rest if value.ndim > 1]:
        raise UserError(
            f"backbone.name: the pooled features of '{backbone.name}' pass through layers behind its feature map "
            f"({deep[0]}), which nothing would train; choose another, for instance resnet18"
        )
    for _, value in rest:
        value.requires_grad_(False)
