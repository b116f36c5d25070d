"""Images reduced to a few numbers: by an autoencoder or by principal components, and how good the numbers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from sklearn.decomposition import IncrementalPCA
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from ssl_pcb.augment.views import plain_view
from ssl_pcb.data.loaders import ArrayDataset, batches, images_at_once
from ssl_pcb.data.samples import Samples
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.bootstrap import bootstrap_intervals, choose_clusters, draw_cluster_counts
from ssl_pcb.evaluation.probes import logistic_probe
from ssl_pcb.losses.reconstruction import squared_errors
from ssl_pcb.models.autoencoder import Autoencoder

BATCH = 256
LEVEL = 0.95

Interval = tuple[float, float, float]
"""Value, lower and upper end."""


@dataclass(frozen=True)
class Reduced:
    """N images as numbers.

    Attributes:
        codes: (N, D) float32.
        errors: (N,) mean squared error of each image as rebuilt from its code, pixels on [0, 1].
    """

    codes: NDArray[np.float32]
    errors: NDArray[np.float32]


@dataclass(frozen=True)
class PrincipalComponents:
    """A linear reduction.

    Attributes:
        size: Side of the images in pixels.
        mean: (P,) of the training images' pixels, P = C * size * size.
        components: (D, P) orthonormal rows, the strongest first.
    """

    size: int
    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    def first(self, dim: int) -> PrincipalComponents:
        """The reduction to the ``dim`` strongest components."""
        return PrincipalComponents(self.size, self.mean, self.components[:dim])

    def reduce(self, dataset: ArrayDataset) -> Reduced:
        """Codes and errors of stored pixels, in batches."""
        parts = []
        for positions in _chunks(np.arange(len(dataset)), BATCH):
            centred = _flat(dataset, positions, self.size) - self.mean
            codes = np.asarray(centred @ self.components.T, np.float32)
            parts.append(Reduced(codes, np.square(centred - codes @ self.components).mean(1)))
        return join(parts)


def fit_components(dataset: ArrayDataset, size: int, dim: int, seed: int) -> PrincipalComponents:
    """Fit ``dim`` principal components by incremental PCA (Ross et al. 2008), a batch in memory at a time.

    Args:
        dataset: Stored pixels of training samples.
        size: Side of a sample without its ring.
        dim: Number of components; those of a smaller reduction are the first of them.
        seed: Seed of the order; batches of one board each would be forgotten one after the other.

    Raises:
        UserError: If there are fewer samples than components.
    """
    if len(dataset) < dim:
        raise UserError(f"principal components: {len(dataset)} training samples are too few for {dim} components")
    order = np.random.default_rng(seed).permutation(len(dataset))
    pca = IncrementalPCA(dim)
    for positions in tqdm(_chunks(order, 4 * dim), "components", disable=None, leave=False, unit="batch"):
        pca.partial_fit(_flat(dataset, positions, size))
    return PrincipalComponents(size, pca.mean_.astype(np.float32), pca.components_.astype(np.float32))


@torch.no_grad()
def autoencode(
    network: Autoencoder, dataset: ArrayDataset, fabric: Fabric, *, batch_size: int | None = None, label: str = "codes"
) -> Iterator[Reduced]:
    """Codes and errors of stored pixels without augmentation, batch by batch, with the network in eval mode.

    Args:
        network: Already on the device; its mode is given back.
        dataset: Stored pixels.
        fabric: Device and precision.
        batch_size: Samples at a time; ``None`` = by their size.
        label: What the progress bar calls this.
    """
    was_training = network.training
    network.eval()
    loader = batches(
        dataset, np.arange(len(dataset)), batch_size or images_at_once(network.size, fabric.device), drop_last=False
    )
    try:
        for batch in tqdm(loader, label, disable=None, leave=False, unit="batch"):
            images = plain_view(batch.to(fabric.device).inputs, network.size)
            with fabric.autocast():
                codes = network.encode(images)
                rebuilt = network.decode(codes)
            yield Reduced(codes.float().cpu().numpy(), squared_errors(rebuilt, images).cpu().numpy())
    finally:
        network.train(was_training)


def join(parts: list[Reduced]) -> Reduced:
    """Batches in a row as one."""
    return Reduced(np.concatenate([p.codes for p in parts]), np.concatenate([p.errors for p in parts]))


def judge_reduction(parts: Mapping[str, Reduced], samples: Samples, resamples: int, seed: int) -> dict[str, Interval]:
    """How good a reduction is on the validation boards.

    Args:
        parts: Reduced labelled rows of the splits ``train`` (the probe is fitted on it), ``holdout`` (chooses the
            probe's C, so that validation chooses nothing) and ``val``.
        samples: The data.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        ``mse`` (mean squared error of a pixel), ``probe_auroc`` (logistic regression on the codes) and
        ``anomaly_auroc`` (the reconstruction error as the score of Defective, no label used), each with its interval.
    """
    labels = {split: samples.labels[samples.rows(split, labelled=True)] for split in parts}
    probe = logistic_probe(parts["train"].codes, labels["train"], parts["holdout"].codes, labels["holdout"])
    rows = samples.rows("val", labelled=True)
    groups, images = samples.column("group", rows), samples.column("path", rows)
    found = {"mse": mean_interval(parts["val"].errors, groups, images, resamples=resamples, seed=seed)}
    scores: dict[str, NDArray[Any]] = {
        "probe_auroc": probe.scores(parts["val"].codes),
        "anomaly_auroc": parts["val"].errors,
    }
    for name, values in scores.items():
        ends = bootstrap_intervals(values, labels["val"], 0.0, groups, images, resamples=resamples, seed=seed)
        auroc = float(roc_auc_score(labels["val"], values))
        found[name] = (auroc, ends.low.get("auroc", np.nan), ends.high.get("auroc", np.nan))
    return found


def mean_interval(
    values: NDArray[np.float32], groups: list[str], images: list[str], *, resamples: int, seed: int
) -> Interval:
    """The mean of ``values`` (N,) with the ends of its cluster bootstrap interval; boards or images are resampled."""
    _, cluster_of = choose_clusters(groups, images)
    sums, sizes = np.bincount(cluster_of, values.astype(np.float64)), np.bincount(cluster_of)
    counts = draw_cluster_counts(len(sums), resamples, seed)
    low, high = np.quantile((counts @ sums) / (counts @ sizes), (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
    return float(values.astype(np.float64).mean()), float(low), float(high)


def _flat(dataset: ArrayDataset, positions: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """Plain views of the samples at ``positions`` as rows (N, P) in [0, 1]."""
    return plain_view(dataset.__getitems__(positions.tolist()).inputs, size).flatten(1).numpy()


def _chunks(order: NDArray[np.int64], least: int) -> list[NDArray[np.int64]]:
    """``order`` in parts as even as can be, of at least ``least`` if there are that many."""
    return np.array_split(order, max(1, len(order) // least))
