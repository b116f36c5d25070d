"""A look at a representation while it is being learned."""

from __future__ import annotations

import logging

import numpy as np
from lightning_fabric import Fabric

from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.data.loaders import ArrayDataset
from ssl_pcb.data.pool import some_rows
from ssl_pcb.data.samples import Samples
from ssl_pcb.evaluation.collapse import collapse_warning, effective_rank, feature_std
from ssl_pcb.evaluation.features import extract_features
from ssl_pcb.evaluation.neighbours import knn_scores
from ssl_pcb.models.backbones import Backbone

log = logging.getLogger(__name__)

NEIGHBOURS = 20


def look_at(
    backbone: Backbone, shown: ArrayDataset, samples: Samples | None, config: PretrainConfig, fabric: Fabric
) -> dict[str, float]:
    """Spread and effective rank of the features of training samples, and kNN on validation labels, if there are any."""
    size = config.data.image_size
    found = extract_features(backbone, shown, size, fabric, label="looking")
    std, rank = feature_std(found), effective_rank(found)
    logs = {"feature_std": std, "effective_rank": rank}
    line = f"representation: spread {std:.2f}, effective rank {rank:.1f} of {backbone.dim}"
    labels = shown.labels[shown.rows]
    queries = _validation(samples, config)
    if (labels >= 0).any() and samples is not None and queries is not None:
        features = extract_features(backbone, queries, size, fabric, label="looking")
        scores = knn_scores(found[labels >= 0], labels[labels >= 0], features, [NEIGHBOURS])
        truth = queries.labels[queries.rows]
        predicted = next(iter(scores.values())) >= 0.5
        logs["knn_accuracy"] = float((predicted == (truth == 1)).mean())
        prior = float(max(np.mean(truth == c) for c in (0, 1)))
        line += f", kNN accuracy {logs['knn_accuracy']:.3f} of validation {samples.unit}s"
        line += f" (always the larger class: {prior:.3f})"
    log.info(line)
    if warning := collapse_warning(std, rank, backbone.dim):
        log.warning(warning)
    return logs


def _validation(samples: Samples | None, config: PretrainConfig) -> ArrayDataset | None:
    if samples is None or not len(rows := samples.rows("val", labelled=True)):
        return None
    return samples.pixels(some_rows(rows, config.monitor_samples, config.runtime.seed))
