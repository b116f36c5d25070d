"""Overlap of class values, magnified by class ratios."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_pcb.config.loss import ClassRatioConfig
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.precision import at_least_float32
from ssl_pcb.losses.supervised import SupervisedLoss
from ssl_pcb.losses.whole_batch import summed


class ClassRatio(SupervisedLoss):
    """Soft Dice overlap of predicted and true class values, both times their class's ratio.

    A class with :math:`n_k` of the :math:`n` samples as the sampler shows them has the ratio :math:`r_k = n / (K n_k)`,
    above 1 for the rarer class and below 1 for the commoner. With the probabilities :math:`p_{ik}` and the labels
    :math:`t_{ik}` in {0, 1} of a batch

    .. math:: 1 - \\frac{2 \\sum_{ik} r_k p_{ik} t_{ik}}{\\sum_{ik} r_k p_{ik} + \\sum_{ik} r_k t_{ik}}

    This is the generalised Dice loss of Sudre et al. 2017 (arXiv 1707.03237) with the inverse of a class's share in
    place of that of its squared volume; the soft overlap is of Milletari et al. 2016 (arXiv 1606.04797). The labels
    carry the ratio too: in a Dice of each class whose predictions alone do, it nearly cancels, and swapped ratios pull
    no less on the rarer class than right ones.

    When training is over, predictions are corrected by the same ratios, :math:`p_k r_k / \\sum_l p_l r_l` (Elkan 2001;
    Saerens et al. 2002): the log-odds of Defective shift by :math:`\\log(r_1 / r_0)`.

    What to expect: a sample of the rarer class always pulls harder than an equally predicted one of the other, but by
    less than the ratio of their frequencies, and where all is predicted well they pull alike. The overlap is the
    batch's and not a mean over samples, so batches should be large enough to hold both classes. The correction moves
    all scores by the same amount: no ranking changes, and a threshold chosen on validation moves along.
    """

    def __init__(self, config: ClassRatioConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, inputs: LossInputs) -> Tensor:
        """Scalar loss of logits (B, K) against targets (B,); of all processes' batches together."""
        ratios, predicted = self._ratios(inputs.class_counts), at_least_float32(inputs.logits).softmax(1)
        own = ratios[inputs.targets]
        common = own * predicted.gather(1, inputs.targets[:, None])[:, 0]
        sums = summed(torch.stack([common.sum(), (predicted * ratios).sum() + own.sum()]))
        return 1 - 2 * sums[0] / sums[1]

    def correction(self, class_counts: Tensor) -> Tensor | None:
        """See :class:`SupervisedLoss`: the logarithm of the ratios."""
        return self._ratios(class_counts).log() if self.config.posthoc else None

    def _ratios(self, class_counts: Tensor) -> Tensor:
        counts = class_counts.float().clamp(min=1)
        ratios = counts.sum() / (len(counts) * counts)
        return ratios.flip(0) if self.config.swapped else ratios
