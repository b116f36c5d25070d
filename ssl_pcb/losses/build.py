"""From a loss config to the loss."""

from torch import nn

from ssl_pcb.config.loss import CrossEntropyConfig, LossConfig
from ssl_pcb.losses.cross_entropy import CrossEntropy


def build_loss(config: LossConfig) -> nn.Module:
    """The loss that ``config`` names: a module from :class:`LossInputs` to a scalar."""
    match config:
        case CrossEntropyConfig():
            return CrossEntropy(config)
