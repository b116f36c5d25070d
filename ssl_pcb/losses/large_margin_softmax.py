"""Large-margin softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.config.margin_losses import LargeMarginSoftmaxConfig
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.precision import at_least_float32
from ssl_pcb.losses.supervised import AnnealedLoss


class LargeMarginSoftmax(AnnealedLoss):
    """Cross entropy in which the own class must win at m times the angle; Liu et al. 2016 (arXiv 1612.02295).

    A sample's features x have the angle :math:`\\theta` to the weights w of its class. Its logit
    :math:`|w| |x| \\cos\\theta` is replaced by

    .. math:: |w| |x| \\frac{\\lambda \\cos\\theta + \\psi(\\theta)}{1 + \\lambda}, \\quad
        \\psi(\\theta) = (-1)^k \\cos(m \\theta) - 2 k \\text{ on } [k \\pi / m, (k + 1) \\pi / m]

    The last layer has no bias. :math:`\\lambda` falls geometrically over the first steps, for with the margin alone a
    network hardly begins to learn. Scores are the plain logits.
    """

    def __init__(self, config: LargeMarginSoftmaxConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss of features (B, D) and the last layer's weights (K, D) against targets (B,)."""
        features, weight = at_least_float32(inputs.features), at_least_float32(inputs.weight)
        own = weight[inputs.targets]
        lengths = features.norm(dim=1) * own.norm(dim=1)
        cosine = (F.normalize(features) * F.normalize(own)).sum(1)
        share = self.plain_weight(self.count())
        asked = lengths * (share * cosine + psi(cosine, self.config.margin)) / (1 + share)
        # The layer's own logits may be rounded by mixed precision; beside one that is not, they would lean to a class.
        plain = (features[:, None] * weight).sum(-1)
        logits = plain.scatter(1, inputs.targets[:, None], asked[:, None])
        return F.cross_entropy(logits, inputs.targets)

    def plain_weight(self, steps: Tensor) -> Tensor:
        """Lambda after ``steps`` steps."""
        done = (steps / self.config.anneal_steps).clamp(max=1)
        return self.config.lambda_start * (self.config.lambda_end / self.config.lambda_start) ** done


def psi(cosine: Tensor, margin: int) -> Tensor:
    """The margin's cosine, which falls all the way from 1 at an angle of 0 to 1 - 2m at pi.

    The cosine of m times the angle is a polynomial in the cosine (Chebyshev's), and unlike the arc cosine that has a
    gradient at 0 and pi too.
    """
    previous, multiple = torch.ones_like(cosine), cosine
    for _ in range(margin - 1):
        previous, multiple = multiple, 2 * cosine * multiple - previous
    ends = torch.arange(1, margin, device=cosine.device) * (torch.pi / margin)
    k = (cosine[..., None] < ends.cos()).sum(-1)
    return (1 - 2 * (k % 2)) * multiple - 2 * k
