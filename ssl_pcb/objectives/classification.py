"""Supervised classification: a network, a head, a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_pcb.augment.augmented import Augment, Augmented
from ssl_pcb.augment.views import plain_view
from ssl_pcb.data.loaders import Batch
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.jensen_shannon import jensen_shannon
from ssl_pcb.losses.supervised import SupervisedLoss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.models.heads import Head
from ssl_pcb.models.layers import TemperedLinear
from ssl_pcb.objectives.output import StepOutput, blended


class FeatureClassifier(nn.Module):
    """A head and its loss on ready features (B, D): the gradient probe of linear-eval."""

    def __init__(self, head: Head, loss: SupervisedLoss, class_counts: Tensor) -> None:
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
        return self._judged(hidden, self._logits(hidden), targets)

    def learn(self, features: Tensor, shown: Augmented) -> StepOutput:
        """Loss of the features (copies * B, D) of augmented images."""
        hidden = self.head.trunk(features)
        logits, count = self._logits(hidden), len(shown.labels)
        output = self._judged(hidden[:count], logits[:count], shown.labels)
        if shown.mixture is not None and shown.others is not None:
            other = self._judged(hidden[:count], logits[:count], shown.others)
            output = blended(other, output, shown.mixture.share)
        if shown.copies > 1:
            apart = jensen_shannon(logits.view(shown.copies, count, -1))
            output = StepOutput(output.loss + shown.consistency * apart, output.logs | {"consistency": apart.detach()})
        return output

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.head.layer(hidden.detach() if self.loss.detached else hidden)
        return logits

    def _judged(self, hidden: Tensor, logits: Tensor, targets: Tensor) -> StepOutput:
        loss = self.loss(LossInputs(hidden, self.head.layer.weight, logits, targets, self.class_counts))
        logs = {"accuracy": (logits.argmax(1) == targets).float().mean()}
        if isinstance(self.head.layer, TemperedLinear) and self.head.layer.learned:
            logs["temperature"] = self.head.layer.log_temperature.detach().exp()
        return StepOutput(loss, logs)

    @torch.no_grad()
    def correct(self) -> None:
        """Build the loss's correction of predictions into the layer's bias, once, when training is over."""
        correction = self.loss.correction(self.class_counts)
        if correction is not None:
            self.head.layer.bias.add_(correction)

    def scores(self, features: Tensor) -> Tensor:
        """Log-odds of Defective (B,) in float32, of features (B, D)."""
        logits: Tensor = self.head(features).float()
        return logits[:, 1] - logits[:, 0]


class Auxiliary(nn.Module):
    """A linear classifier on the average of an intermediate map, whose loss joins that of the head in training.

    It brings the early stages a gradient of their own (Lee et al. 2015, arXiv 1409.5185; Szegedy et al. 2015,
    arXiv 1409.4842). Scores do not come from it, and it is not kept.

    Attributes:
        stage: Number of the stage whose map it sees.
        classifier: On the averaged map.
        weight: Of its loss.
    """

    def __init__(self, stage: int, classifier: FeatureClassifier, weight: float) -> None:
        super().__init__()
        self.stage, self.classifier, self.weight = stage, classifier, weight

    def join(self, main: StepOutput, maps: Tensor, shown: Augmented) -> StepOutput:
        """``main`` with the loss of the stage's maps (copies * B, D, h, w) of augmented images added."""
        aside = self.classifier.learn(maps.mean((2, 3)), shown)
        logs = {"auxiliary_loss": aside.loss.detach(), "auxiliary_accuracy": aside.logs["accuracy"]}
        return StepOutput(main.loss + self.weight * aside.loss, main.logs | logs)


class ImageClassifier(nn.Module):
    """Network, head and loss on augmented images: what finetune trains.

    Attributes:
        backbone: Feature extractor.
        classifier: Head and loss.
        augment: What training images are made by.
        size: Side of a sample, in pixels.
        auxiliary: A second classifier for training alone, or ``None``.
    """

    def __init__(
        self,
        backbone: Backbone | DownsizedBackbone,
        classifier: FeatureClassifier,
        augment: Augment,
        size: int,
        auxiliary: Auxiliary | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.augment, self.size = augment, size
        self.auxiliary = auxiliary

    def forward(self, batch: Batch, generator: torch.Generator) -> StepOutput:
        """Loss of a batch of stored pixels, augmented: of as many views of each sample as the loss asks for."""
        with torch.no_grad(), torch.autocast(batch.inputs.device.type, enabled=False):
            views = self.classifier.loss.views
            pixels, labels = torch.cat([batch.inputs] * views), torch.cat([batch.labels] * views)
            boxes = None if batch.boxes is None else torch.cat([batch.boxes] * views)
            shown = self.augment(pixels, labels, generator, boxes)
        if self.auxiliary is None:
            return self.classifier.learn(self.seen(shown.images), shown)
        seen, maps = self._seen_beside_stage(shown.images, self.auxiliary.stage)
        return self.auxiliary.join(self.classifier.learn(seen, shown), maps, shown)

    def scores(self, pixels: Tensor) -> Tensor:
        """Log-odds of Defective (B,) in float32, of stored pixels without augmentation."""
        return self.classifier.scores(self.seen(plain_view(pixels, self.size)))

    def seen(self, images: Tensor) -> Tensor:
        """What the head sees of images (B, C, S, S): features (B, D), or a map (B, D, h, w)."""
        seen: Tensor = self.backbone.feature_map(images) if self.classifier.head.on_map else self.backbone(images)
        return seen

    def _seen_beside_stage(self, images: Tensor, stage: int) -> tuple[Tensor, Tensor]:
        """The same and the map of a stage (B, depth, h, w), from one pass."""
        assert isinstance(self.backbone, Backbone)
        last, maps = self.backbone.map_and_stage(images, stage)
        return last if self.classifier.head.on_map else self.backbone.pooled_end(last), maps
