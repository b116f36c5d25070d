"""From a config to the second classifier that finetune trains inside the network."""

from __future__ import annotations

from torch import Tensor

from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.model import AuxiliaryConfig, LinearHeadConfig
from ssl_pcb.losses.build import build_loss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.models.feature_maps import stages_at
from ssl_pcb.models.heads import build_head
from ssl_pcb.objectives.classification import Auxiliary, FeatureClassifier


def build_auxiliary(
    config: AuxiliaryConfig | None, loss: LossConfig, backbone: Backbone | DownsizedBackbone, class_counts: Tensor
) -> Auxiliary | None:
    """The auxiliary classifier that ``config`` asks for, under the same loss as the head.

    Args:
        config: ``None`` = none.
        loss: Of the loss.
        backbone: The network whose stage it sees; the config refuses it behind a downsizer.
        class_counts: (K,) samples of each class in an epoch, as the sampler shows them.

    Raises:
        UserError: If the network has no map of that stride.
    """
    if config is None or not isinstance(backbone, Backbone):
        return None
    (stage,) = stages_at(backbone.network, backbone.name, backbone.channels, [config.stride], "auxiliary.stride")
    head = build_head(LinearHeadConfig(), loss, stage.depth, len(class_counts))
    classifier = FeatureClassifier(head, build_loss(loss, stage.depth), class_counts)
    return Auxiliary(stage.number, classifier, config.weight)
