"""The probes of linear-eval: each fitted on the same frozen features."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from ssl_pcb.config.model import LinearHeadConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.data.loaders import ArrayDataset, batches
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.samplers import build_sampler, class_counts
from ssl_pcb.data.samples import Samples
from ssl_pcb.decision.thresholds import choose_threshold
from ssl_pcb.evaluation.neighbours import knn_scores
from ssl_pcb.evaluation.probes import label_fraction_indices, logistic_probe, standardisation
from ssl_pcb.losses.build import build_loss
from ssl_pcb.losses.whole_batch import by_itself
from ssl_pcb.models.heads import build_head
from ssl_pcb.objectives.classification import FeatureClassifier
from ssl_pcb.stages.judging import Judging
from ssl_pcb.training.loop import fit
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.runtime import derive_seed

log = logging.getLogger(__name__)

Features = Mapping[str, NDArray[np.float32]]
Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Probed:
    """What one probe says.

    Attributes:
        probe: ``logistic``, ``gradient_head`` or ``knn``.
        setting: What validation or the user chose: ``C=0.1``, ``k=20``.
        scores: Split to score of Defective (N,).
        parameters: What it learned; empty for ``knn``.
    """

    probe: str
    setting: str
    scores: Scores
    parameters: dict[str, Tensor] = field(default_factory=dict)


def probe_all(
    features: Features, samples: Samples, fraction: float, config: LinearEvalConfig, fabric: Fabric
) -> Iterator[Probed]:
    """Fit every probe on ``fraction`` of the training labels.

    The validation labels that choose C shrink in proportion: somebody with few labels has few of both.
    """
    labels = {split: samples.labels[samples.rows(split, labelled=True)] for split in features}
    seed = config.runtime.seed
    train = label_fraction_indices(labels["train"], fraction, seed)
    val = label_fraction_indices(labels["val"], fraction, seed)
    x, y = features["train"][train], labels["train"][train]
    judged = {split: found for split, found in features.items() if split != "train"}

    logistic = logistic_probe(x, y, features["val"][val], labels["val"][val], config.cs)
    yield Probed(
        "logistic", f"C={logistic.c:g}", {s: logistic.scores(found) for s, found in judged.items()},
        {name: torch.as_tensor(getattr(logistic, name)) for name in ("mean", "scale", "weight", "bias")},
    )  # fmt: skip
    yield gradient_head(x, y, judged, config, fabric)
    by_split = {split: knn_scores(x, y, found, config.ks) for split, found in judged.items()}
    for k in by_split["val"]:
        yield Probed("knn", f"k={k}", {split: scores[k] for split, scores in by_split.items()})


def gradient_head(
    x: NDArray[np.float32], y: NDArray[np.int64], judged: Features, config: LinearEvalConfig, fabric: Fabric
) -> Probed:
    """Train a linear head on standardised features (N, D), under the configured sampler and loss."""
    mean, scale = standardisation(x)
    sampler = build_sampler(config.sampler, y, config.runtime.seed, config.training.batch_size)
    counts = torch.from_numpy(class_counts(sampler, y, len(LABELS)))
    torch.manual_seed(derive_seed(config.runtime.seed, "head"))
    head = build_head(LinearHeadConfig(), config.loss, x.shape[1], len(LABELS))
    model = FeatureClassifier(head, build_loss(config.loss, head.layer.in_features), counts)
    dataset = ArrayDataset((x - mean) / scale, y, np.arange(len(y)))
    size = config.training.batch_size
    with by_itself():  # the first process trains heads for all
        fit(
            model, build_optimizer(config.optimizer, model, size), config.training,
            lambda epoch: batches(dataset, sampler.epoch(epoch), size, drop_last=False),
            fabric, seed=config.runtime.seed, label="gradient head", quiet=True,
        )  # fmt: skip
    model.correct()
    model.eval()
    with torch.no_grad():
        scores = {
            split: model.scores(torch.from_numpy((found - mean) / scale).to(fabric.device)).double().cpu().numpy()
            for split, found in judged.items()
        }
    parameters = {"mean": torch.from_numpy(mean), "scale": torch.from_numpy(scale), **head.state_dict()}
    return Probed("gradient_head", config.loss.name, scores, parameters)


def rows_of_table(
    backbone: str, fraction: float, probed: Probed, samples: Samples, config: LinearEvalConfig, reservations: list[str]
) -> Iterator[dict[str, Any]]:
    """One row a split: all metrics with their intervals, at the threshold that validation chose for this probe."""
    labels = {split: samples.labels[samples.rows(split, labelled=True)] for split in probed.scores}
    threshold = choose_threshold(probed.scores["val"], labels["val"], "balanced_accuracy")
    for split, scores in probed.scores.items():
        rows = samples.rows(split, labelled=True)
        report = Judging.of(config).report(scores, rows, samples, threshold)
        row = {
            "backbone": backbone, "labels": fraction, "probe": probed.probe, "setting": probed.setting,
            "split": split, "balance": report["balance"], "unit": samples.unit,
            "over": report["interval"]["over"], "threshold": threshold,
            "confusion": report["confusion"], "marks": reservations,
        }  # fmt: skip
        for name, entry in report["metrics"].items():
            row |= {name: entry["value"], f"{name}_low": entry["low"], f"{name}_high": entry["high"]}
        yield row


def say_table(frame: pd.DataFrame) -> None:
    """Log AUROC on validation, label fractions side by side."""
    val = frame[frame["split"].eq("val")]
    wide = val.pivot_table(index=["backbone", "probe", "setting"], columns="labels", values="auroc", sort=False)
    # C is chosen anew for every fraction; one line a probe reads better than one a C.
    best = wide.groupby(level=["backbone", "probe"], sort=False).max()
    best.columns = [f"{fraction:.0%} labels" for fraction in best.columns]
    unit, balance = frame[["unit", "balance"]].iloc[0]
    log.info("AUROC per %s on validation, %s classes (kNN: its best k)", unit, balance)
    for line in best.to_string(float_format="{:.3f}".format, na_rep="-").splitlines():
        log.info("    %s", line)
