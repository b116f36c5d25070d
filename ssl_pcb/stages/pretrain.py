"""Self-supervised pretraining: representations from all images of the training boards, labelled or not."""

from __future__ import annotations

import logging

import torch
from lightning_fabric import Fabric

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import MoCoConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.data.pool import Pool, StorePool, training_rows
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.data.shards.pool import open_shards
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import refuse_size
from ssl_pcb.objectives.autoencoder import Autoencoding
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.objectives.defect_pretext import DefectPretext
from ssl_pcb.reports.run import Run
from ssl_pcb.stages.autoencoding import SHOWN, finish_autoencoder
from ssl_pcb.stages.checks import (
    refuse_changed_data,
    refuse_full_disk,
    refuse_shared_images,
    refuse_small,
    warn_of_head_norm,
    warn_of_queue,
)
from ssl_pcb.stages.costs import announce_cost
from ssl_pcb.stages.judging import marks
from ssl_pcb.stages.looking import look_at
from ssl_pcb.stages.painting import picture_defects, warn_of_hidden_defects, warn_of_other_light
from ssl_pcb.stages.weights import describe_backbone, start_from
from ssl_pcb.training.checkpoint import checkpoint_bytes, save_backbone
from ssl_pcb.training.compiling import compile_networks
from ssl_pcb.training.fastest import Workload
from ssl_pcb.training.lineage import TrainedOn
from ssl_pcb.training.loop import Progress, fit
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.processes import make_fabric, resolve_together, share_of
from ssl_pcb.training.runtime import derive_seed, memory_format

log = logging.getLogger(__name__)


def pretrain(config: PretrainConfig, run: Run, fabric: Fabric) -> None:
    """Run the stage into ``run``.

    Raises:
        UserError: On whatever the user can mend.
    """
    config, pool, samples = open_pool(config)
    refuse_changed_data(run, pool.name, pool.describe())
    batch_size = config.training.batch_size
    refuse_small(pool.name, len(pool), batch_size, fabric.world_size)
    channels = pool.channels * (2 if config.sees_references else 1)
    start = start_from(
        config.checkpoint, config.backbone, channels, config.runtime,
        context=config.data.context, samples=samples, transductive=None, beside=run.folder,
    )  # fmt: skip
    refuse_size(start.backbone, channels, pool.size)
    torch.manual_seed(derive_seed(config.runtime.seed, "head"))
    views = ViewMaker(config.view, pool.size, config.data.context, config.data.references)
    objective = build_objective(config.method, start.backbone, views, references=config.data.references)
    disk = checkpoint_bytes(objective, best=False)
    refuse_full_disk(disk, run, fabric)
    around = objective.network if isinstance(objective, Autoencoding) else None
    work = Workload.of(start.backbone, pool.size, around=around)
    runtime = resolve_together(config.runtime, fabric, work)
    config = config.model_copy(update={"runtime": runtime, "checkpoint": start.checkpoint})
    fabric = make_fabric(runtime)
    steps = len(pool) // batch_size * config.training.epochs
    shown = pool.excerpt(config.monitor_samples, runtime.seed)
    looked_at = shown, samples
    if not config.sees_references:
        looked_at = shown.without_references, samples and samples.without_references

    with run:
        run.save_config(config)
        run.note(
            data=pool.describe(),
            backbone=describe_backbone(config.backbone, channels),
            checkpoint=start.checkpoint,
        )
        log.info(
            "pretraining with %s on %d %ss with %s into %s",
            config.method.name, len(pool), pool.unit, config.backbone.name, run.folder,
        )  # fmt: skip
        if isinstance(config.method, MoCoConfig):
            warn_of_queue(config.method.queue, len(pool), pool.unit)
        warn_of_head_norm(config, objective, start.backbone)
        if isinstance(objective, DefectPretext):
            warn_of_other_light(objective, shown)
            warn_of_hidden_defects(objective, shown, runtime.seed)
        if not run.resumed:
            announce_cost(objective, shown, batch_size, steps, disk, fabric)
        if config.compile:
            compile_networks(objective, fabric.device)

        def after_epoch(progress: Progress, logs: dict[str, float]) -> None:
            if progress.epoch % config.monitor_every == 0 or progress.epoch == config.training.epochs:
                progress.kept = look_at(start.backbone, *looked_at, config, fabric)
                logs |= progress.kept
            run.log_metrics({"epoch": progress.epoch, **logs})

        progress = fit(
            objective, build_optimizer(config.optimizer, objective, batch_size), config.training,
            lambda epoch: pool.batches(epoch, batch_size, share_of(fabric)),
            fabric, seed=runtime.seed, layout=memory_format(runtime), state_folder=run.folder,
            profile_folder=run.folder if config.profile else None,
            after_epoch=after_epoch, label="pretrain",
        )  # fmt: skip
        if not fabric.is_global_zero:
            return
        save_backbone(start.backbone, run.folder, TrainedOn.of(*pool.seen()) | start.seen)
        if isinstance(objective, Autoencoding):
            finish_autoencoder(objective, pool.excerpt(SHOWN, runtime.seed), run.folder, fabric, runtime.seed)
        if isinstance(objective, DefectPretext):
            picture_defects(objective, shown, run.folder, fabric, runtime.seed)
        run.save_summary(
            {
                "stage": "pretrain",
                "samples": len(pool),
                "marks": marks(samples, start),
                "representation": progress.kept,
            }
        )


def open_pool(config: PretrainConfig) -> tuple[PretrainConfig, Pool, Samples | None]:
    """What to learn from: shards, or the training rows of a packed manifest.

    Returns:
        ``config`` with its automatic data settings decided, the pool, and the manifest's samples if there is one.

    Raises:
        UserError: If both are named, or on whatever is wrong with them.
    """
    if config.shards is not None:
        if config.data.manifest is not None:
            raise UserError("shards: stands beside data.manifest; give one of --shards and --data")
        shards = open_shards(config.shards, config.data, config.runtime.seed, config.use_unsplit, config.shard_workers)
        decided = {"channels": shards.channels, "bit_depth": shards.decoder.bit_depth}
        data = config.data.model_copy(update=decided)
        return config.model_copy(update={"data": data}), shards, None
    samples, data = load_samples(config.data)
    refuse_shared_images(samples)
    pool = StorePool(samples, training_rows(samples, config.use_unsplit), config.runtime.seed)
    return config.model_copy(update={"data": data}), pool, samples
