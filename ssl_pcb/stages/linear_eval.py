"""Probes on a frozen backbone: how much of the label do its features hold?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from ssl_pcb.config.stages import LinearEvalConfig
from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.loaders import ArrayDataset, batches
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.samplers import build_sampler, class_counts
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.evaluation.features import cached_features, state_hash
from ssl_pcb.evaluation.neighbours import knn_scores
from ssl_pcb.evaluation.probes import label_fraction_indices, logistic_probe
from ssl_pcb.losses.build import build_loss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.classification import LinearClassifier
from ssl_pcb.reports.run import Run
from ssl_pcb.stages.checks import refuse_changed_data
from ssl_pcb.stages.costs import announce_features
from ssl_pcb.stages.judging import PREDICTIONS, judge, marks, record_test, say_reports, splits_to_judge
from ssl_pcb.stages.weights import start_from
from ssl_pcb.training.loop import fit
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.runtime import derive_seed, make_fabric, memory_format, resolve_runtime

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
    """

    probe: str
    setting: str
    scores: Scores


def linear_eval(config: LinearEvalConfig, run: Run) -> dict[str, Any]:
    """Run the stage into ``run``; returns its summary.

    Raises:
        UserError: On whatever the user can mend.
    """
    samples, data = load_samples(config.data)
    refuse_changed_data(run, samples)
    samples.supervised("train")
    splits = splits_to_judge(samples, config.test)
    channels, size = samples.store.spec.channels, data.image_size
    start = start_from(
        config.checkpoint, config.backbone, samples, config.runtime,
        transductive=config.transductive, beside=run.folder,
    )  # fmt: skip
    runtime = resolve_runtime(config.runtime, lambda: Backbone(config.backbone, channels), channels, size)
    config = config.model_copy(update={"data": data, "runtime": runtime, "checkpoint": start.checkpoint})
    fabric = make_fabric(runtime)
    torch.manual_seed(derive_seed(runtime.seed, "floor"))
    floor = Backbone(config.backbone.model_copy(update={"weights": "none"}), channels)
    trained = start.checkpoint != "none" or config.backbone.weights == "timm"
    backbones = {"checkpoint": start.backbone, "random_init": floor} if trained else {"random_init": floor}

    with run:
        run.save_config(config)
        run.note(
            data=samples.describe(),
            backbone={"name": config.backbone.name, "channels": channels},
            checkpoint=start.checkpoint,
        )
        announce_features(start.backbone, samples, ["train", *splits], len(backbones), fabric)
        table: list[dict[str, Any]] = []
        full: dict[str, Scores] = {}
        for name, backbone in backbones.items():
            features = frozen_features(backbone, samples, ["train", *splits], config, fabric)
            for fraction in config.fractions:
                for probed in probe_all(features, samples, fraction, config, fabric):
                    table += rows_of_table(name, fraction, probed, samples)
                    if probed.probe == "logistic" and fraction == max(config.fractions):
                        full[name] = probed.scores
        reports = {
            name: judge(scores, samples, run.folder / f"{name}_{PREDICTIONS}", config.resamples, runtime.seed)
            for name, scores in full.items()
        }
        frame = pd.DataFrame(table)
        frame.to_csv(run.folder / "probes.csv", index=False, lineterminator="\n")
        if config.test:
            for name, report in reports.items():
                auroc = report["test"]["metrics"]["auroc"]["value"]
                purpose = f"logistic probe, {name} {start.checkpoint if name == 'checkpoint' else ''}".strip()
                record_test(run, runtime.ledger, samples, purpose, auroc, start)
        main = next(iter(backbones))
        summary: dict[str, Any] = {
            "stage": "linear-eval", "checkpoint": start.checkpoint, "marks": marks(samples, start),
            "reported_probe": f"logistic regression on {main} with {max(config.fractions):.0%} of the labels",
            "reports": reports[main], "floor_reports": reports["random_init"], "probes": table,
        }  # fmt: skip
        run.save_summary(summary)
        say_table(frame)
        log.info("%s:", summary["reported_probe"])
        say_reports(reports[main], summary["marks"])
    return summary


def frozen_features(
    backbone: Backbone, samples: Samples, splits: list[str], config: LinearEvalConfig, fabric: Fabric
) -> Features:
    """Features of the labelled rows of each split; proves that the backbone was left as it was."""
    backbone.to(fabric.device, memory_format=memory_format(config.runtime))  # type: ignore[call-overload]
    before = state_hash(backbone)
    cache = config.data.cache or cache_dir()
    found = {
        split: cached_features(
            backbone, samples, samples.rows(split, labelled=True), fabric, cache, label=f"features {split}"
        )
        for split in splits
    }
    if state_hash(backbone) != before:
        raise RuntimeError("a frozen backbone changed while its features were computed")
    return found


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
    yield Probed("logistic", f"C={logistic.c:g}", {s: logistic.scores(found) for s, found in judged.items()})
    yield Probed("gradient_head", config.loss.name, gradient_head(x, y, judged, config, fabric))
    by_split = {split: knn_scores(x, y, found, config.ks) for split, found in judged.items()}
    for k in by_split["val"]:
        yield Probed("knn", f"k={k}", {split: scores[k] for split, scores in by_split.items()})


def gradient_head(
    x: NDArray[np.float32], y: NDArray[np.int64], judged: Features, config: LinearEvalConfig, fabric: Fabric
) -> Scores:
    """Train a linear head on standardised features (N, D), under the configured sampler and loss."""
    mean, scale = x.mean(0), x.std(0) + 1e-6
    sampler = build_sampler(config.sampler, y, config.runtime.seed)
    counts = torch.from_numpy(class_counts(sampler, y, len(LABELS)))
    torch.manual_seed(derive_seed(config.runtime.seed, "head"))
    head = LinearClassifier(x.shape[1], build_loss(config.loss), counts)
    dataset = ArrayDataset((x - mean) / scale, y, np.arange(len(y)))
    size = config.training.batch_size
    fit(
        head, build_optimizer(config.optimizer, head, size), config.training,
        lambda epoch: batches(dataset, sampler.epoch(epoch), size, drop_last=False),
        fabric, seed=config.runtime.seed, label="gradient head", quiet=True,
    )  # fmt: skip
    weight = head.head.weight.detach().double().cpu().numpy()
    bias = head.head.bias.detach().double().cpu().numpy()
    logits = {split: (found - mean) / scale @ weight.T + bias for split, found in judged.items()}
    return {split: values[:, 1] - values[:, 0] for split, values in logits.items()}


def rows_of_table(backbone: str, fraction: float, probed: Probed, samples: Samples) -> Iterator[dict[str, Any]]:
    """One row a split: ranking quality of a probe."""
    for split, scores in probed.scores.items():
        labels = samples.labels[samples.rows(split, labelled=True)]
        yield {
            "backbone": backbone, "labels": fraction, "probe": probed.probe, "setting": probed.setting,
            "split": split, "unit": samples.unit, "auroc": float(roc_auc_score(labels, scores)),
            "average_precision": float(average_precision_score(labels, scores)),
        }  # fmt: skip


def say_table(frame: pd.DataFrame) -> None:
    """Log AUROC on validation, label fractions side by side."""
    val = frame[frame["split"].eq("val")]
    wide = val.pivot_table(index=["backbone", "probe", "setting"], columns="labels", values="auroc", sort=False)
    # C is chosen anew for every fraction; one line a probe reads better than one a C.
    best = wide.groupby(level=["backbone", "probe"], sort=False).max()
    best.columns = [f"{fraction:.0%} labels" for fraction in best.columns]
    log.info("AUROC per %s on validation (kNN: its best k)", frame["unit"].iloc[0])
    for line in best.to_string(float_format="{:.3f}".format, na_rep="-").splitlines():
        log.info("    %s", line)
