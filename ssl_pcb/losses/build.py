"""From a loss config to the loss."""

from torch import nn

from ssl_pcb.config.loss import CrossEntropyConfig, FocalConfig, LogitAdjustedConfig, LossConfig
from ssl_pcb.losses.cross_entropy import CrossEntropy
from ssl_pcb.losses.focal import Focal
from ssl_pcb.losses.logit_adjusted import LogitAdjusted


def build_loss(config: LossConfig) -> nn.Module:
    """The loss that ``config`` names: a module from :class:`LossInputs` to a scalar."""
    match config:
        case CrossEntropyConfig():
            return CrossEntropy(config)
        case FocalConfig():
            return Focal(config)
        case LogitAdjustedConfig():
            return LogitAdjusted(config)
