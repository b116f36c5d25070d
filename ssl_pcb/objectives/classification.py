"""Supervised classification: a network, a head, a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_pcb.augment.augmented import Augment, Augmented
from ssl_pcb.augment.views import plain_view
from ssl_pcb.data.loaders import Batch
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.jensen_shannon import jensen_shannon
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.models.heads import Head
from ssl_pcb.objectives.output import StepOutput, blended


class FeatureClassifier(nn.Module):
    """A head and its loss on ready features (B, D): the gradient probe of linear-eval."""

    def __init__(self, head: Head, loss: nn.Module, class_counts: Tensor) -> None:
        """Join them.

        Args:
            head: From :func:`ssl_pcb.models.heads.build_head`.
            loss: From :func:`ssl_pcb.losses.build.build_loss`, with the config that the head was built for.
            class_counts: (K,) samples of each class in an epoch, as the sampler shows them.
        """
        super().__init__()
        self.head, self.loss = head, loss
        self.register_buffer("class_counts", class_counts, persistent=False)
        self.class_counts: Tensor

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """Loss of a batch of features."""
        return self.step(batch.inputs, batch.labels)

    def step(self, features: Tensor, targets: Tensor) -> StepOutput:
        """Loss of features (B, D) against targets (B,)."""
        hidden = self.head.trunk(features)
        return self._judged(hidden, self.head.layer(hidden), targets)

    def learn(self, features: Tensor, shown: Augmented) -> StepOutput:
        """Loss of the features (copies * B, D) of augmented images."""
        hidden = self.head.trunk(features)
        logits, count = self.head.layer(hidden), len(shown.labels)
        output = self._judged(hidden[:count], logits[:count], shown.labels)
        if shown.mixture is not None and shown.others is not None:
            other = self._judged(hidden[:count], logits[:count], shown.others)
            output = blended(other, output, shown.mixture.share)
        if shown.copies > 1:
            apart = jensen_shannon(logits.unflatten(0, (shown.copies, count)))
            output = StepOutput(output.loss + shown.consistency * apart, output.logs | {"consistency": apart.detach()})
        return output

    def _judged(self, hidden: Tensor, logits: Tensor, targets: Tensor) -> StepOutput:
        loss = self.loss(LossInputs(hidden, self.head.layer.weight, logits, targets, self.class_counts))
        return StepOutput(loss, {"accuracy": (logits.argmax(1) == targets).float().mean()})

    def scores(self, features: Tensor) -> Tensor:
        """Log-odds of Defective (B,) in float32, of features (B, D)."""
        logits: Tensor = self.head(features).float()
        return logits[:, 1] - logits[:, 0]


class ImageClassifier(nn.Module):
    """Network, head and loss on augmented images: what finetune trains.

    Attributes:
        backbone: Feature extractor.
        classifier: Head and loss.
        augment: What training images are made by.
        size: Side of a sample, in pixels.
    """

    def __init__(
        self, backbone: Backbone | DownsizedBackbone, classifier: FeatureClassifier, augment: Augment, size: int
    ) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.augment, self.size = augment, size

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """Loss of a batch of stored pixels, augmented."""
        with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
            shown = self.augment(batch.inputs, batch.labels, generator, batch.boxes)
        return self.classifier.learn(self.backbone(shown.images), shown)

    def scores(self, pixels: Tensor) -> Tensor:
        """Log-odds of Defective (B,) in float32, of stored pixels without augmentation."""
        return self.classifier.scores(self.backbone(plain_view(pixels, self.size)))
