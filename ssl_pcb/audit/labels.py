"""Suspected wrong labels: what a network that has not seen a label says of it, and what its neighbours say.

Two opinions of each sample, neither of which its own label had a part in: the out-of-fold probability of
cross-validation, and the share of Defective among its nearest neighbours of other source images. cleanlab (Northcutt et
al. 2021, https://arxiv.org/abs/1911.00068) turns them into one ranking: each opinion's probability of the given label
(self-confidence), averaged with the weights that its search over log losses finds, so that features which know nothing
of the labels do not spoil the ranking. How many labels are suspected, the confident joint of the out-of-fold
probabilities says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.neighbours import neighbour_weights

NEIGHBOURS = 20

SEARCHED = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 50.0]
"""How strongly the worse log loss may count less. cleanlab clips probabilities at 1e-6, so that a log loss is at most
13.8, and exp(-50 * 13.8) is still a number; its own largest values can leave both opinions without any weight."""


@dataclass(frozen=True)
class Neighbourhood:
    """Each sample's nearest neighbours of other source images, see
    :func:`~ssl_pcb.evaluation.neighbours.nearest_elsewhere`.

    Attributes:
        similarities: (N, k) cosine similarities, descending.
        positions: (N, k) positions among the N samples; -1 where there are no more.
    """

    similarities: NDArray[np.float32]
    positions: NDArray[np.int64]

    def share(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """The similarity-weighted share of Defective (N,) among each sample's neighbours, by their labels (N,).

        Raises:
            UserError: If a sample has no neighbour.
        """
        if (self.positions[:, 0] < 0).any():
            raise UserError("neighbours: all samples come from one source image; there must be several to compare")
        weights = neighbour_weights(self.similarities)
        return np.asarray((weights * labels[self.positions]).sum(1) / weights.sum(1))


@dataclass(frozen=True)
class LabelQuality:
    """How far labels are to be trusted.

    Attributes:
        suspicion: (N,) in [0, 1], higher = more likely wrong: the ranking.
        by_network: (N,) out-of-fold probability that the label is wrong.
        by_neighbours: (N,) share of the neighbours that disagree.
        count: How many labels the confident joint holds for wrong.
        weight: Share that the neighbours have in the suspicion.
    """

    suspicion: NDArray[np.float64]
    by_network: NDArray[np.float64]
    by_neighbours: NDArray[np.float64]
    count: int
    weight: float

    @property
    def order(self) -> NDArray[np.int64]:
        """(N,) positions, the most suspicious first."""
        return np.argsort(-self.suspicion, kind="stable")


def judge_labels(labels: ArrayLike, probabilities: ArrayLike, neighbours: Neighbourhood) -> LabelQuality:
    """Rank labels by how likely they are wrong.

    Args:
        labels: (N,) in {0, 1}, as given.
        probabilities: (N,) out-of-fold probabilities of Defective.
        neighbours: Of the N samples, in a space that no sample's own label had a part in.

    Raises:
        UserError: On NaN probabilities, one class only, or a sample without neighbours.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_ensemble_scores

    values, classes = checked_pair(probabilities, labels, both_classes=True)
    opinions = [_both(values), _both(neighbours.share(classes))]
    quality = get_label_quality_ensemble_scores(
        classes, opinions,
        weight_ensemble_members_by="log_loss_search", log_loss_search_T_values=SEARCHED, verbose=False,
    )  # fmt: skip
    wrong = [opinion[np.arange(len(classes)), 1 - classes] for opinion in opinions]
    # One process: cleanlab would start others for what takes a blink.
    issues = find_label_issues(classes, opinions[0], n_jobs=1)
    return LabelQuality(1 - quality, wrong[0], wrong[1], int(issues.sum()), _weight(1 - quality, *wrong))


def _both(defective: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of both classes (N, 2)."""
    return np.column_stack([1 - defective, defective])


def _weight(mixed: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The share of ``second`` in ``mixed``, which cleanlab keeps to itself."""
    widest = int(np.argmax(np.abs(second - first)))
    apart = second[widest] - first[widest]
    return float((mixed[widest] - first[widest]) / apart) if apart else 0.5
