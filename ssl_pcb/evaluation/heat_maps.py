"""Where in an image a classifier sees the defect."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.objectives.classification import ImageClassifier


@torch.no_grad()
def heat_maps(classifier: ImageClassifier, images: Tensor) -> Tensor:
    """How much each place of the images speaks for Defective: :func:`cell_scores`, which of all that was measured
    lies in the defects most often (``results/heat_maps.md``), in proportion to the image's own probability.

    No single cell need hold all that an image is judged by: behind maxima of several maps, the best cell of a sure
    defect may have a probability of 0.1. Where the classifier judges by the mean over the symmetries, so do the cells.

    Args:
        classifier: In eval mode.
        images: (N, C, H, W) in [0, 1], as the network sees them.

    Returns:
        (N, H, W) float32 in [0, 1], in the images' pixels; the highest of each image is its own probability. Where
        images show what surrounds a sample, of the sample alone.
    """
    net = _Split(classifier)
    cells, seen = _cells(net, images)
    own = torch.sigmoid(net.scores(seen)).float()
    return own[:, None, None] * cells / cells.amax((1, 2), keepdim=True).clamp(min=torch.finfo().tiny)


@torch.no_grad()
def cell_scores(classifier: ImageClassifier, images: Tensor) -> Tensor:
    """The probability of Defective that the classifier would give each cell of its last map, were that the whole image.

    For a linear head behind one averaged map these are class activation maps (Zhou et al. 2016, arXiv 1512.04150);
    behind a maximum the highest cell is a bound of the image's own score.

    Returns:
        (N, H, W) float32 in [0, 1]; see :func:`heat_maps`.
    """
    return _cells(_Split(classifier), images)[0]


def _cells(net: _Split, images: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of the cells, (N, H, W), and what the head sees of the images, both means over the views."""
    views, seen = [], []
    for symmetry in net.classifier.backbone.views:
        view = symmetry.of(images)
        maps = net.maps(view)
        side = maps[0].shape[2:]
        wide = [F.interpolate(each, side, mode="bilinear", align_corners=False) for each in maps]
        cells = [each.permute(0, 2, 3, 1).reshape(-1, each.shape[1], 1, 1) for each in wide]
        scores = net.end(cells).view(len(images), 1, *side)
        views.append(symmetry.undone(net.to_pixels(torch.sigmoid(scores), view)))
        seen.append(net.seen(maps))
    return torch.stack(views).mean(0), torch.stack(seen).mean(0)


def grad_cam(classifier: ImageClassifier, images: Tensor, layer: nn.Module | None = None) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of the score of Defective, by captum; always of one view.

    Args:
        classifier: In eval mode.
        images: (N, C, H, W) in [0, 1].
        layer: Part of the network whose map is weighed; ``None`` = the last map, of several the finest.

    Returns:
        (N, H, W) float32, at least 0, the highest of each image 1; of one that nothing speaks for all 0.
    """
    from captum.attr import LayerGradCam

    net = _Split(classifier)
    found = LayerGradCam(net, layer or net.first).attribute(images, relu_attributions=True)
    found = (found[0] if isinstance(found, tuple) else found).detach().float()
    return net.to_pixels(found / found.amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo().tiny), images)


class _Split(nn.Module):
    """A classifier cut at its last maps: what makes them, and what makes a score of them."""

    def __init__(self, classifier: ImageClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.first, self.inner = _Maps(classifier), _inner(classifier)

    def forward(self, images: Tensor) -> Tensor:
        """Log-odds of Defective (N,)."""
        return self.end(self.maps(images))

    def maps(self, images: Tensor) -> list[Tensor]:
        """(N, depth, h, w) each, the finest first."""
        return list(self.first(images))

    def end(self, maps: list[Tensor]) -> Tensor:
        """Log-odds of Defective (N,) of such maps, of any size."""
        return self.scores(self.seen(maps))

    def seen(self, maps: list[Tensor]) -> Tensor:
        """What the head sees of such maps: features (N, D), or the last map."""
        if self.classifier.classifier.head.on_map:
            return maps[-1]
        return self.inner.pooled(maps) if self.inner.strides else self.inner.pooled_end(maps[0])

    def scores(self, seen: Tensor) -> Tensor:
        """Log-odds of Defective (N,) of what the head sees."""
        return self.classifier.classifier.scores(seen)

    def to_pixels(self, maps: Tensor, images: Tensor) -> Tensor:
        """Maps (N, 1, h, w) as (N, H, W), in the pixels that show the samples of images."""
        side = [each - 2 * self.inner.context for each in images.shape[2:]]
        return F.interpolate(maps.float(), side, mode="bilinear", align_corners=False)[:, 0]


class _Maps(nn.Module):
    """The part before the cut, as a module of its own, which captum listens to."""

    def __init__(self, classifier: ImageClassifier) -> None:
        super().__init__()
        self.backbone, self.inner = classifier.backbone, _inner(classifier)
        self.on_map = classifier.classifier.head.on_map

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The last maps."""
        if self.on_map or not self.inner.strides:
            return (self.backbone.feature_map(images),)
        if isinstance(self.backbone, DownsizedBackbone):
            images = self.backbone.small(images)
        return tuple(self.inner.maps(images))


def _inner(classifier: ImageClassifier) -> Backbone:
    found = classifier.backbone
    return found.backbone if isinstance(found, DownsizedBackbone) else found
