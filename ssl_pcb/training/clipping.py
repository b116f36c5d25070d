"""Gradient clipping."""

from __future__ import annotations

import logging

from lightning_fabric import Fabric
from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame
from timm.utils.agc import adaptive_clip_grad
from torch import Tensor, nn

from ssl_pcb.config.optim import AdaptiveClipConfig, ClipConfig, NoClipConfig, NormClipConfig
from ssl_pcb.models.heads import Head

log = logging.getLogger(__name__)


class Clipping:
    """What is done to gradients between the backward pass and the optimiser's step."""

    def __init__(self, config: ClipConfig, objective: nn.Module) -> None:
        """Prepare it.

        Args:
            config: Kind and strength.
            objective: What is trained; what is frozen already has no gradients.
        """
        self.config = config
        heads = (module for module in objective.modules() if isinstance(module, Head))
        last = {each for head in heads for each in head.layer.parameters()}
        self.adaptive = [each for each in objective.parameters() if each.requires_grad and each not in last]

    def __call__(self, module: nn.Module, optimizer: object, fabric: Fabric) -> dict[str, Tensor]:
        """Clip the gradients in place, without waiting for a GPU.

        Args:
            module: As Fabric wraps it.
            optimizer: As Fabric wraps it.
            fabric: Which has brought the gradients of all processes together.

        Returns:
            What there is to log: ``gradient_norm`` before clipping, where it is computed.
        """
        match self.config:
            case NoClipConfig():
                return {}
            case NormClipConfig(max_norm=most):
                norm = fabric.clip_gradients(module, optimizer, max_norm=most, error_if_nonfinite=False)  # type: ignore[arg-type]
                assert norm is not None
                return {"gradient_norm": norm.detach()}
            case AdaptiveClipConfig(factor=factor):
                adaptive_clip_grad(self.adaptive, factor)  # type: ignore[no-untyped-call]
                return {}


def advise_clipping(config: ClipConfig, objective: nn.Module) -> None:
    """Say it where a network without normalisation trains without the clipping that it was made for."""
    scaled = (ScaledStdConv2d, ScaledStdConv2dSame)
    if config.name != "adaptive" and any(isinstance(each, scaled) for each in objective.modules()):
        log.info(
            "the network has no normalisation and is made for adaptive clipping, which training.clip.name=adaptive sets"
        )
