"""The classifier that finetune trains, around its network."""

from __future__ import annotations

import torch
from numpy import int64
from numpy.typing import NDArray

from ssl_pcb.augment.build import build_augment
from ssl_pcb.config.supervised import SupervisedConfig
from ssl_pcb.losses.build import build_loss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.models.heads import build_head
from ssl_pcb.models.initialisation import begin_as_he
from ssl_pcb.models.trunks import input_dim
from ssl_pcb.objectives.auxiliary import build_auxiliary
from ssl_pcb.objectives.classification import FeatureClassifier, ImageClassifier
from ssl_pcb.training.runtime import derive_seed


def build_classifier(
    config: SupervisedConfig, backbone: Backbone | DownsizedBackbone, class_counts: NDArray[int64]
) -> ImageClassifier:
    """Head, loss, auxiliary classifier and augmentation around ``backbone``.

    Args:
        config: Of the run.
        backbone: With its start weights.
        class_counts: (K,) samples of each class in an epoch, as the sampler shows them.

    Raises:
        UserError: If head or auxiliary classifier do not go with the network.
    """
    counts, size = torch.from_numpy(class_counts), config.data.image_size
    torch.manual_seed(derive_seed(config.runtime.seed, "head"))
    head = build_head(config.head, config.loss, input_dim(config.head, backbone), len(counts))
    if config.backbone.init == "he":
        begin_as_he(head)
    classifier = FeatureClassifier(head, build_loss(config.loss, head.layer.in_features), counts)
    auxiliary = build_auxiliary(config.auxiliary, config.loss, backbone, counts)
    augment = build_augment(config.augment, size, config.data.context, references=config.data.references)
    return ImageClassifier(backbone, classifier, augment, size, auxiliary)
