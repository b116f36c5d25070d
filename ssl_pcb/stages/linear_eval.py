"""Probes on a frozen backbone: how much of the label do its features hold?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.samplers import build_sampler, class_counts
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.evaluation.features import FeatureNetwork, cached_features, state_hash
from ssl_pcb.models.backbones import Backbone, refuse_size
from ssl_pcb.reports.ledger import open_ledger
from ssl_pcb.reports.run import Run
from ssl_pcb.stages.checks import refuse_changed_data, refuse_shared_images, warn_of_few, warn_of_idle_loss
from ssl_pcb.stages.costs import announce_features
from ssl_pcb.stages.judging import PREDICTIONS, Judging, judge, marks, record_test, say_reports, splits_to_judge
from ssl_pcb.stages.label_free import defect_map, one_class, reference_difference
from ssl_pcb.stages.probing import Features, Probed, probe_all, rows_of_table, say_table
from ssl_pcb.stages.refitting import compare_refitted
from ssl_pcb.stages.weights import as_seen, describe_backbone, start_from, trained_on
from ssl_pcb.training.checkpoint import save_backbone, save_head
from ssl_pcb.training.fastest import Workload
from ssl_pcb.training.processes import alone, make_fabric, resolve_together
from ssl_pcb.training.runtime import derive_seed, memory_format

log = logging.getLogger(__name__)

TITLES = {"logistic": "logistic regression", "gradient_head": "gradient head"}


def linear_eval(config: LinearEvalConfig, run: Run, fabric: Fabric) -> None:
    """Run the stage into ``run``: several processes share the features, the first one fits the probes.

    Raises:
        UserError: On whatever the user can mend.
    """
    paired, data = load_samples(config.data)
    samples = as_seen(config.checkpoint, config.backbone, paired, run.folder)
    refuse_changed_data(run, paired.name, paired.describe())
    refuse_shared_images(samples)
    warn_of_few(samples.labels[samples.supervised("train")])
    splits = splits_to_judge(samples, config.test)
    if config.test:
        open_ledger(config.runtime.ledger)
    channels, size = samples.channels, data.image_size
    start = start_from(
        config.checkpoint, config.backbone, channels, config.runtime, context=data.context, samples=samples,
        transductive=config.transductive, beside=run.folder,
    )  # fmt: skip
    refuse_size(start.backbone, channels, size)
    runtime = resolve_together(config.runtime, fabric, Workload.of(start.backbone, size, training=False))
    config = config.model_copy(update={"data": data, "runtime": runtime, "checkpoint": start.checkpoint})
    fabric = make_fabric(runtime)
    torch.manual_seed(derive_seed(runtime.seed, "floor"))
    floor = Backbone(config.backbone.model_copy(update={"weights": "none"}), channels, data.context)
    trained = start.checkpoint != "none" or config.backbone.weights == "timm"
    backbones = {"checkpoint": start.backbone, "random_init": floor} if trained else {"random_init": floor}

    seen = trained_on(samples, samples.rows("train", labelled=True)) | start.seen

    with run:
        run.save_config(config)
        run.note(
            data=paired.describe(),
            backbone=describe_backbone(config.backbone, channels),
            checkpoint=start.checkpoint,
            parameters=sum(each.numel() for each in start.backbone.parameters()),
        )
        _warn_of_unreported(config, samples)
        rows = {"train": samples.rows("train")} | {split: samples.rows(split, labelled=True) for split in splits}
        announce_features(start.backbone, samples, sum(map(len, rows.values())), len(backbones), fabric)
        features = {
            name: frozen_features(backbone, samples, rows, config, fabric) for name, backbone in backbones.items()
        }
        if not fabric.is_global_zero:
            return
        main, title = next(iter(backbones)), TITLES[config.reported_probe]
        banks = {name: found["train"] for name, found in features.items()}
        labelled = samples.labels[rows["train"]] >= 0
        features = {name: {**found, "train": found["train"][labelled]} for name, found in features.items()}
        mapped = {each.probe: each for each in defect_map(features[main], start.checkpoint)}
        compared = {each.probe: each for each in reference_difference(paired, splits)}
        said = marks(samples, start)
        table = [row for each in compared.values() for row in rows_of_table("none", 0.0, each, samples, config, said)]
        full: dict[str, Probed] = {}
        for name, found in features.items():
            label_free = [one_class(found, banks[name]), *(mapped.values() if name == main else [])]
            for fraction, probed in _probes(found, label_free, samples, config):
                table += rows_of_table(name, fraction, probed, samples, config, said)
                if probed.probe == config.reported_probe and fraction == max(config.fractions):
                    full[name] = probed
            if config.test:
                weights = start.checkpoint if name == "checkpoint" else "random initialisation"
                free = ["distance", *(mapped if name == main else []), *compared]
                purpose = f"3 probes x {len(config.fractions)} label fractions and {', '.join(free)} on {weights}"
                record_test(
                    run, runtime.ledger, samples, purpose, full[name].scores["test"], start, config.test_balance
                )
        reports = {
            name: judge(probed.scores, samples, run.folder / f"{name}_{PREDICTIONS}", said, Judging.of(config))
            for name, probed in (full | mapped | compared).items()
        }
        run.save_metrics(table)
        refit = compare_refitted(features[main], samples, start.checkpoint, config, alone(runtime))
        save_backbone(backbones[main], run.folder, seen)
        save_head(full[main].parameters, run.folder)
        summary: dict[str, Any] = {
            "stage": "linear-eval", "checkpoint": start.checkpoint, "marks": said,
            "reported_probe": f"{title} on {main} with {max(config.fractions):.0%} of the labels",
            "reports": reports[main], "floor_reports": reports["random_init"],
            "label_free_reports": {name: reports[name] for name in mapped | compared}, "probes": table,
            "refit": refit,
        }  # fmt: skip
        run.save_summary(summary)
        say_table(pd.DataFrame(table))
        log.info("%s:", summary["reported_probe"])
        say_reports(reports[main], said)
        log.info("features or head: %s", refit["sentence"])


def _probes(
    found: Features, label_free: Sequence[Probed], samples: Samples, config: LinearEvalConfig
) -> Iterator[tuple[float, Probed]]:
    """All that is said of one backbone's features, with the share of the labels that it took."""
    for probed in label_free:
        yield 0.0, probed
    for fraction in config.fractions:
        for probed in probe_all(found, samples, fraction, config, alone(config.runtime)):
            yield fraction, probed


def _warn_of_unreported(config: LinearEvalConfig, samples: Samples) -> None:
    """Say what is chosen for the gradient head alone, and what of that cannot act."""
    plain = LinearEvalConfig()
    chosen = [key for key in ("sampler", "loss") if getattr(config, key) != getattr(plain, key)]
    if chosen and config.reported_probe == "logistic":
        log.warning(
            "%s: trains the gradient head, a row of the table; the report is the logistic probe's, unless "
            "reported_probe=gradient_head",
            " and ".join(chosen),
        )
    labels, size = samples.labels[samples.rows("train", labelled=True)], config.training.batch_size
    sampler = build_sampler(config.sampler, labels, config.runtime.seed, size)
    steps = -(-len(sampler.epoch(0)) // size) * config.training.epochs
    warn_of_idle_loss(config.loss, class_counts(sampler, labels, len(LABELS)), steps)


def frozen_features(
    backbone: FeatureNetwork,
    samples: Samples,
    rows: Mapping[str, NDArray[np.int64]],
    config: LinearEvalConfig,
    fabric: Fabric,
) -> dict[str, NDArray[np.float32]]:
    """Features of the rows of each split; proves that the backbone was left as it was."""
    backbone.to(fabric.device, memory_format=memory_format(config.runtime))  # type: ignore[call-overload]
    before = state_hash(backbone)
    cache = config.data.cache or cache_dir()
    found = {
        split: cached_features(backbone, samples, chosen, fabric, cache, label=f"features {split}")
        for split, chosen in rows.items()
    }
    if state_hash(backbone) != before:
        raise RuntimeError("a frozen backbone changed while its features were computed")
    return found
