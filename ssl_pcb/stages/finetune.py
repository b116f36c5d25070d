"""End-to-end supervised training of Defective against NonDefective, from a checkpoint or from scratch."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from ssl_pcb.config.policy import needs_boxes
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.loaders import batches, fetched, images_at_once
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.samplers import Endless, build_sampler, class_counts
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import DivergedError
from ssl_pcb.evaluation.probes import label_fraction_indices
from ssl_pcb.models.backbones import refuse_size
from ssl_pcb.models.depths import layer_scales
from ssl_pcb.models.symmetries import one_view
from ssl_pcb.objectives.classification import ImageClassifier
from ssl_pcb.reports.ledger import open_ledger
from ssl_pcb.reports.run import Run
from ssl_pcb.stages.checks import (
    refuse_boxless,
    refuse_changed_data,
    refuse_full_disk,
    refuse_moved_edges,
    refuse_shared_images,
    refuse_small,
    warn_of_few,
    warn_of_idle_loss,
)
from ssl_pcb.stages.classifier import build_classifier
from ssl_pcb.stages.costs import announce_cost
from ssl_pcb.stages.downsizing import start_network
from ssl_pcb.stages.heads import start_from_probe
from ssl_pcb.stages.judging import PREDICTIONS, Judging, judge, marks, record_test, say_reports, splits_to_judge
from ssl_pcb.stages.selection import keep_best, kept_by, say_kept
from ssl_pcb.stages.softening import picture_softening
from ssl_pcb.stages.weights import describe_backbone, trained_on
from ssl_pcb.training.averaging import average_of
from ssl_pcb.training.checkpoint import STATE, checkpoint_bytes, save_backbone, save_head
from ssl_pcb.training.compiling import compile_networks
from ssl_pcb.training.fastest import Workload
from ssl_pcb.training.loop import Progress, fit
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.processes import gather_shares, make_fabric, resolve_together, share_of
from ssl_pcb.training.runtime import memory_format

log = logging.getLogger(__name__)


def finetune(config: FinetuneConfig, run: Run, fabric: Fabric) -> None:
    """Run the stage into ``run``.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_moved_edges(config.augment, config.data.context)
    samples, data = load_samples(config.data)
    refuse_changed_data(run, samples.name, samples.describe())
    refuse_shared_images(samples)
    rows, val_rows = (
        every[label_fraction_indices(samples.labels[every], config.fraction, config.runtime.seed)]
        for every in (samples.supervised("train"), samples.supervised("val"))
    )
    refuse_boxless(samples, rows, config.augment)
    splits = splits_to_judge(samples, config.test)
    if config.test:
        open_ledger(config.runtime.ledger)
    labels, batch_size = samples.labels[rows], config.training.batch_size
    warn_of_few(labels)
    sampler = build_sampler(config.sampler, labels, config.runtime.seed, batch_size)
    counts = class_counts(sampler, labels, len(LABELS))  # of a whole pass, not of what few steps happen to show
    if config.steps_per_epoch:
        sampler = Endless(sampler, config.steps_per_epoch * batch_size)
    shown = len(sampler.epoch(0))
    if config.training.epochs:
        refuse_small(samples.name, shown, batch_size, fabric.world_size)
    channels, size = samples.channels, data.image_size
    config, start, backbone = start_network(config, samples, run.folder)
    refuse_size(backbone, channels, size)
    scales = layer_scales(start.backbone, config.layer_decay)
    runtime = resolve_together(config.runtime, fabric, Workload.of(backbone, size))
    config = config.model_copy(update={"data": data, "runtime": runtime})
    model = build_classifier(config, backbone, counts)
    disk = checkpoint_bytes(model, best=True, averaged=config.ema is not None)
    refuse_full_disk(disk, run, fabric)
    fabric = make_fabric(runtime)
    dataset = samples.pixels(rows, boxes=needs_boxes(config.augment))

    seen = trained_on(samples, rows) | start.seen

    with run:
        run.save_config(config)
        run.note(
            data=samples.describe(),
            backbone=describe_backbone(config.backbone, channels) | {"network": backbone.name},
            checkpoint=start.checkpoint,
            judged_in="fp32",
            parameters=sum(each.numel() for each in model.parameters()),
            class_counts=dict(zip(LABELS, counts.tolist(), strict=True)),
        )
        if config.training.epochs:
            log.info(
                "finetuning %s with sampler %s (%s a pass), augmentation %s, loss %s and %s at %g into %s",
                backbone.name, config.sampler.name,
                ", ".join(f"{n} {label}" for label, n in zip(LABELS, counts, strict=True)),
                config.augment.name, config.loss.name, config.optimizer.name, config.optimizer.lr, run.folder,
            )  # fmt: skip
        else:
            log.info("keeping a probe of %s as the classifier, nothing is trained, in %s", backbone.name, run.folder)
        steps = shown // batch_size * config.training.epochs
        warn_of_idle_loss(config.loss, counts, steps)
        if steps and not run.resumed:
            announce_cost(model, dataset, batch_size, steps, disk, fabric, at_most=config.patience is not None)
        if config.head_start == "probe" and not (run.folder / STATE).is_file():  # none if stopped in the first epoch
            if config.checkpoint == "none" and config.backbone.weights == "none":
                log.warning(
                    "head_start: a probe of a random network's features fits nothing once these move; pretrain first, "
                    "name weights with --checkpoint, or set head_start=random"
                )
            with one_view(backbone) if steps else nullcontext():
                start_from_probe(model, samples, rows, val_rows, fabric)
        average = average_of(model, config.ema)
        judged: ImageClassifier = model if average is None else average.module
        if config.compile:
            compile_networks(model, fabric.device)
        val_labels = samples.labels[val_rows]

        def after_epoch(progress: Progress, logs: dict[str, float]) -> None:
            with one_view(judged.backbone):
                scores = predict(judged, samples, val_rows, fabric)
            logs["val_auroc"] = float(roc_auc_score(val_labels, scores))
            logs["val_average_precision"] = float(average_precision_score(val_labels, scores))
            keep_best(judged, progress, logs, config)
            run.log_metrics({"epoch": progress.epoch, **logs})

        progress = fit(
            model, build_optimizer(config.optimizer, model, batch_size, scales), config.training,
            lambda epoch: batches(
                dataset, sampler.epoch(epoch), batch_size, drop_last=True, share=share_of(fabric)
            ),
            fabric, seed=runtime.seed, average=average, layout=memory_format(runtime), state_folder=run.folder,
            profile_folder=run.folder if config.profile else None,
            after_epoch=after_epoch, label="finetune",
        )  # fmt: skip
        if not config.training.epochs:  # what it began with is the classifier
            after_epoch(progress, {})
        model.load_state_dict(progress.kept["model"])
        model.classifier.correct()
        scores = {split: predict(model, samples, samples.rows(split, labelled=True), fabric) for split in splits}
        if not fabric.is_global_zero:
            return
        say_kept(progress, config)
        save_backbone(model.backbone, run.folder, seen)
        save_head(model.classifier.head.state_dict(), run.folder)
        picture_softening(model.classifier.head.layer, scores["val"], samples, run.folder)
        if config.test:
            record_test(
                run, runtime.ledger, samples, f"finetune {backbone.name} from {start.checkpoint}", scores["test"],
                start, config.test_balance,
            )  # fmt: skip
        said = marks(samples, start)
        reports = judge(scores, samples, run.folder / PREDICTIONS, said, Judging.of(config))
        summary: dict[str, Any] = {
            "stage": "finetune", "network": backbone.name, "checkpoint": start.checkpoint, "marks": said,
            "epochs": progress.epoch, "best_epoch": progress.kept["epoch"], "selected_on": kept_by(config),
            "reports": reports,
        }  # fmt: skip
        run.save_summary(summary)
        say_reports(reports, said)


@torch.no_grad()
def predict(model: ImageClassifier, samples: Samples, rows: NDArray[np.int64], fabric: Fabric) -> NDArray[np.float64]:
    """Log-odds of Defective (N,) of manifest ``rows``, in eval mode and without augmentation.

    In fp32, whatever the network was trained in: so will the line judge, by thresholds that these scores choose.
    Several processes share the work; each gets all of the result.

    Raises:
        DivergedError: If the scores are no longer numbers.
    """
    model.eval()
    found = [torch.zeros(0, device=fabric.device)]  # with fewer samples than processes, some have none
    own, size = share_of(fabric).of(np.arange(len(rows))), images_at_once(model.size, fabric.device)
    for batch in fetched(batches(samples.pixels(rows), own, size, drop_last=False), fabric.device):
        found.append(model.scores(batch.inputs))
    scores = gather_shares(torch.cat(found), len(rows), fabric).double().cpu().numpy()
    if not np.isfinite(scores).all():
        raise DivergedError("training diverged: the network's scores are no longer numbers; lower optimizer.lr")
    return scores
