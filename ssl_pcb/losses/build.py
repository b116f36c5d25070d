"""From a loss config to the loss."""

from ssl_pcb.config.loss import (
    ClassRatioConfig,
    CrossEntropyConfig,
    FocalConfig,
    LogitAdjustedConfig,
    LossConfig,
    SupConConfig,
)
from ssl_pcb.config.margin_losses import (
    L2ConstrainedSoftmaxConfig,
    LargeMarginSoftmaxConfig,
    LDAMConfig,
    TemperatureConfig,
)
from ssl_pcb.losses.class_ratio import ClassRatio
from ssl_pcb.losses.cross_entropy import CrossEntropy
from ssl_pcb.losses.focal import Focal
from ssl_pcb.losses.large_margin_softmax import LargeMarginSoftmax
from ssl_pcb.losses.ldam import LDAM
from ssl_pcb.losses.logit_adjusted import LogitAdjusted
from ssl_pcb.losses.supcon import SupCon
from ssl_pcb.losses.supervised import SupervisedLoss


def build_loss(config: LossConfig, dim: int) -> SupervisedLoss:
    """The loss that ``config`` names.

    Args:
        config: With which the last layer was built too (:func:`ssl_pcb.models.layers.build_layer`).
        dim: Number of features that this layer sees.
    """
    match config:
        case CrossEntropyConfig():
            return CrossEntropy(config)
        case FocalConfig():
            return Focal(config)
        case LogitAdjustedConfig():
            return LogitAdjusted(config)
        case ClassRatioConfig():
            return ClassRatio(config)
        case LargeMarginSoftmaxConfig():
            return LargeMarginSoftmax(config)
        case L2ConstrainedSoftmaxConfig() | TemperatureConfig():  # what is special about them is the layer
            return CrossEntropy(CrossEntropyConfig())
        case LDAMConfig():
            return LDAM(config)
        case SupConConfig():
            return SupCon(config, dim)
