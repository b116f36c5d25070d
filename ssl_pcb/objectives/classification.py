"""Supervised classification: an encoder, a linear head, a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_pcb.augment.views import ViewMaker, plain_view
from ssl_pcb.data.loaders import Batch
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.objectives.output import StepOutput


class LinearClassifier(nn.Module):
    """A linear head on ready features (B, D): the gradient probe of linear-eval."""

    def __init__(self, dim: int, loss: nn.Module, class_counts: Tensor) -> None:
        """Make a head.

        Args:
            dim: Number of features D.
            loss: From :func:`ssl_pcb.losses.build.build_loss`.
            class_counts: (K,) samples of each class in an epoch, as the sampler shows them.
        """
        super().__init__()
        self.head = nn.Linear(dim, len(LABELS))
        self.loss = loss
        self.register_buffer("class_counts", class_counts, persistent=False)
        self.class_counts: Tensor

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """Loss of a batch of features."""
        return self.step(batch.inputs, batch.labels)

    def step(self, features: Tensor, targets: Tensor) -> StepOutput:
        """Loss of features (B, D) against targets (B,)."""
        logits = self.head(features)
        loss = self.loss(LossInputs(features, self.head.weight, logits, targets, self.class_counts))
        return StepOutput(loss, {"accuracy": (logits.argmax(1) == targets).float().mean()})


class ImageClassifier(nn.Module):
    """Backbone and linear head on augmented images: what finetune trains.

    Attributes:
        backbone: Feature extractor.
        classifier: Linear head and loss.
    """

    def __init__(self, backbone: Backbone | DownsizedBackbone, classifier: LinearClassifier, views: ViewMaker) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.views = views

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """Loss of a batch of stored pixels under one random view each."""
        with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
            images = self.views(batch.inputs, generator)
        return self.classifier.step(self.backbone(images), batch.labels)

    def scores(self, pixels: Tensor) -> Tensor:
        """Log-odds of Defective (B,) in float32, of stored pixels without augmentation."""
        logits: Tensor = self.classifier.head(self.backbone(plain_view(pixels, self.views.size))).float()
        return logits[:, 1] - logits[:, 0]
