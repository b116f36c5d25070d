"""A finetuned network as it is deployed: pixels in; scores, and the distance to the training images, out."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_pcb.augment.views import plain_view
from ssl_pcb.deploy.predictor import Outputs
from ssl_pcb.evaluation.heat_maps import heat_maps
from ssl_pcb.evaluation.neighbours import NEAREST
from ssl_pcb.objectives.classification import ImageClassifier


class Deployable(nn.Module):
    """Network, head and, if images are to be told unfamiliar, the features of all training images.

    Attributes:
        bank: (M, D), rows of length 1; ``None`` = distances are not asked for.
    """

    bank: Tensor | None

    def __init__(self, model: ImageClassifier, bank: NDArray[np.float32] | None) -> None:
        """Take over ``model`` and compare with ``bank`` (M, D)."""
        super().__init__()
        self.backbone, self.classifier, self.size = model.backbone, model.classifier, model.size
        self.register_buffer("bank", None if bank is None else F.normalize(torch.from_numpy(bank)))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Scores (B,) of pixels (B, C, S, S) uint8; with a bank also distances (B,), as ``distance_to_nearest``'s."""
        images = plain_view(pixels, self.size)
        if not self.classifier.head.on_map:
            features = self.backbone(images)
            return (self.classifier.scores(features), *self._distances(features))
        scores = self.classifier.scores(self.backbone.feature_map(images))
        return (scores,) if self.bank is None else (scores, *self._distances(self.backbone(images)))

    def _distances(self, features: Tensor) -> tuple[Tensor, ...]:
        if self.bank is None:
            return ()
        near = (F.normalize(features) @ self.bank.T).topk(min(NEAREST, len(self.bank))).values
        return (1 - near.mean(1),)


class TorchNetwork:
    """Runs a :class:`Deployable` on its device; threads may share it."""

    def __init__(self, module: Deployable, device: torch.device) -> None:
        self.module, self.device = module.to(device).eval(), device

    @torch.no_grad()
    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Scores and distances of samples (B, C, S, S) uint8."""
        scores, *distances = self.module(torch.from_numpy(pixels).to(self.device))
        return Outputs(_numbers(scores), _numbers(distances[0]) if distances else None)


class TorchHeats:
    """Tells where in samples a classifier sees defects; it lies on ``device`` already, in eval mode."""

    def __init__(self, model: ImageClassifier, device: torch.device) -> None:
        self.model, self.device = model, device

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Heat maps (B, S, S) of samples (B, C, S, S) uint8."""
        images = plain_view(torch.from_numpy(pixels).to(self.device), self.model.size)
        found: NDArray[np.float32] = heat_maps(self.model, images).cpu().numpy()
        return found


def _numbers(found: Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = found.double().cpu().numpy()
    return numbers
