"""Self-supervised pretraining: representations from all images of the training boards, labelled or not."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.stages import PretrainConfig
from ssl_pcb.data.loaders import batches
from ssl_pcb.data.samplers import Natural
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.collapse import collapse_warning, effective_rank, feature_std
from ssl_pcb.evaluation.features import extract_features
from ssl_pcb.evaluation.neighbours import knn_scores
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.simclr import SimCLR
from ssl_pcb.reports.run import Run
from ssl_pcb.stages.checks import refuse_changed_data, refuse_shared_images, refuse_small
from ssl_pcb.stages.costs import announce_cost
from ssl_pcb.stages.judging import marks
from ssl_pcb.stages.weights import start_from, trained_on
from ssl_pcb.training.checkpoint import save_backbone
from ssl_pcb.training.loop import Progress, fit
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.runtime import derive_seed, make_fabric, memory_format, resolve_runtime

log = logging.getLogger(__name__)

NEIGHBOURS = 20


def pretrain(config: PretrainConfig, run: Run) -> dict[str, Any]:
    """Run the stage into ``run``; returns its summary.

    Raises:
        UserError: On whatever the user can mend.
    """
    samples, data = load_samples(config.data)
    refuse_changed_data(run, samples)
    refuse_shared_images(samples)
    rows = pretraining_rows(samples, config.use_unsplit)
    batch_size = config.training.batch_size
    refuse_small(samples, len(rows), batch_size)
    channels, size = samples.store.spec.channels, data.image_size
    start = start_from(
        config.checkpoint, config.backbone, samples, config.runtime, transductive=None, beside=run.folder
    )
    runtime = resolve_runtime(config.runtime, lambda: Backbone(config.backbone, channels), channels, size)
    config = config.model_copy(update={"data": data, "runtime": runtime, "checkpoint": start.checkpoint})
    torch.manual_seed(derive_seed(runtime.seed, "head"))
    objective = SimCLR(config.method, start.backbone, ViewMaker(config.view, size))
    fabric = make_fabric(runtime)
    dataset = samples.pixels(rows)
    sampler = Natural(samples.labels[rows], runtime.seed)
    steps = len(rows) // batch_size * config.training.epochs

    seen = trained_on(samples, rows) | start.seen

    with run:
        run.save_config(config)
        run.note(
            data=samples.describe(),
            backbone={"name": config.backbone.name, "channels": channels},
            checkpoint=start.checkpoint,
        )
        log.info("pretraining on %d %ss with %s into %s", len(rows), samples.unit, config.backbone.name, run.folder)
        if not run.resumed:
            announce_cost(objective, dataset, batch_size, steps, fabric)

        def after_epoch(progress: Progress, logs: dict[str, float]) -> None:
            if progress.epoch % config.monitor_every == 0 or progress.epoch == config.training.epochs:
                progress.kept = look_at(objective.backbone, samples, rows, config, fabric)
                logs |= progress.kept
            run.log_metrics({"epoch": progress.epoch, **logs})

        progress = fit(
            objective, build_optimizer(config.optimizer, objective, batch_size), config.training,
            lambda epoch: batches(dataset, sampler.epoch(epoch), batch_size, drop_last=True),
            fabric, seed=runtime.seed, layout=memory_format(runtime), state_folder=run.folder,
            after_epoch=after_epoch, label="pretrain",
        )  # fmt: skip
        save_backbone(objective.backbone, run.folder, seen)
        summary = {
            "stage": "pretrain",
            "samples": len(rows),
            "marks": marks(samples, start),
            "representation": progress.kept,
        }
        run.save_summary(summary)
    return summary


def pretraining_rows(samples: Samples, use_unsplit: bool) -> NDArray[np.int64]:
    """Rows to learn from: all of split ``train``, never validation or test.

    Raises:
        UserError: If there are none.
    """
    rows = samples.rows("train")
    unsplit = samples.rows("")
    free = unsplit[(samples.labels[unsplit] < 0) & ~_of_judged_boards(samples, unsplit)]
    if use_unsplit:
        rows = np.union1d(rows, free)
    if not len(rows):
        raise UserError(
            f"{samples.name}: no sample is in split 'train'; run 'ssl-pcb data split', "
            f"or take the {len(free)} unlabelled images without a split with --use-unsplit"
        )
    if len(unsplit) and not use_unsplit:
        log.info("%d samples without a split are left out (unlabelled ones: --use-unsplit)", len(unsplit))
    elif len(unsplit) > len(free):
        log.info("%d samples without a split are left out: labelled, or of judged boards", len(unsplit) - len(free))
    return rows


def _of_judged_boards(samples: Samples, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of ``rows`` show a validation or test board, or a copy of an image that is kept apart."""
    judged = set(samples.column("group", samples.rows("val", "test"))) - {""}
    apart = samples.store.hashes[samples.rows("val", "test", "holdout")].tolist()
    return np.isin(samples.column("group", rows), list(judged)) | np.isin(samples.store.hashes[rows], apart)


def look_at(
    backbone: Backbone, samples: Samples, rows: NDArray[np.int64], config: PretrainConfig, fabric: Fabric
) -> dict[str, float]:
    """Spread and effective rank of the features, and kNN on validation labels where there are any."""
    rng = np.random.default_rng([config.runtime.seed, 2])

    def some(candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        count = min(len(candidates), config.monitor_samples)
        return np.sort(rng.choice(candidates, count, replace=False))

    def features(chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        return extract_features(backbone, samples.pixels(chosen), config.data.image_size, fabric, label="looking")

    shown = some(rows)
    found = features(shown)
    std, rank = feature_std(found), effective_rank(found)
    logs = {"feature_std": std, "effective_rank": rank}
    line = f"representation: spread {std:.2f}, effective rank {rank:.1f} of {backbone.dim}"
    bank = samples.labels[shown] >= 0
    queries = some(samples.rows("val", labelled=True))
    if bank.any() and len(queries):
        scores = knn_scores(found[bank], samples.labels[shown][bank], features(queries), [NEIGHBOURS])
        predicted = next(iter(scores.values())) >= 0.5
        logs["knn_accuracy"] = float((predicted == (samples.labels[queries] == 1)).mean())
        prior = float(max(np.mean(samples.labels[queries] == c) for c in (0, 1)))
        line += f", kNN accuracy {logs['knn_accuracy']:.3f} of validation {samples.unit}s"
        line += f" (always the larger class: {prior:.3f})"
    log.info(line)
    if warning := collapse_warning(std, rank, backbone.dim):
        log.warning(warning)
    return logs
