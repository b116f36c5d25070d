"""What is refused before a stage begins."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_pcb.config.load import flatten
from ssl_pcb.config.loss import CrossEntropyConfig, LossConfig
from ssl_pcb.config.margin_losses import LargeMarginSoftmaxConfig
from ssl_pcb.config.operations import MOVING, AugMixConfig, RandAugmentConfig
from ssl_pcb.config.policy import AugmentConfig, needs_boxes
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.stages import StageConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.samples import Samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.run import Run, read_config, read_run
from ssl_pcb.training.checkpoint import weights_file

log = logging.getLogger(__name__)

EVEN = 1.05
"""Times the rarer class up to which the other counts as equally frequent."""

FEW = 10
"""Training samples of a class below which it is said that they are few."""

FREE = ("runtime.out", "runtime.devices", "runtime.nodes", "runtime.timeout", "profile")
"""Keys in which a resumed run may differ from its beginning."""


def refuse_small(name: str, available: int, batch_size: int, processes: int) -> None:
    """Refuse a training with fewer samples an epoch than a batch holds."""
    if available >= batch_size:
        return
    fits = available // processes * processes
    if fits >= 2 * processes:
        mend = f"lower --batch-size to at most {fits}"
    elif available >= 2:
        mend = f"with {available // 2} of --devices or fewer, --batch-size {available // 2 * 2} is possible"
    else:
        mend = "two samples are the least that can be learned from; add images"
    raise UserError(
        f"{name}: {available} training samples an epoch are fewer than a batch of {batch_size} for {processes} "
        f"process{'es' if processes > 1 else ''}; {mend}"
    )


def refuse_used_folder(out: Path) -> None:
    """Refuse to write beside what ``out`` holds already, or where no folder can be."""
    over = next(parent for parent in (out, *out.absolute().parents) if parent.exists())
    if over != out and not over.is_dir():
        raise UserError(f"{out}: {over} is a file, so nothing can be written in it; choose another --out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not empty; choose another --out")


def refuse_moved_edges(augment: AugmentConfig, context: int) -> None:
    """Refuse to move a tile's edge within what is seen around it: a neighbour's defect would get the tile's label.

    Args:
        augment: What training does to a tile.
        context: Pixels that are seen around it on each side.

    Raises:
        UserError: If it would, unless surroundings are asked for.
    """
    if not context:
        return
    geometry = augment.view.geometry
    if geometry.random_crop is not None and not geometry.surroundings:
        raise UserError(
            "augment.view.geometry.random_crop: within data.context a crop lets neighbours' defects into a tile's "
            "place, under its label; leave it out, or set surroundings=true there to accept that"
        )
    if not geometry.exact and not geometry.surroundings:
        raise UserError(
            "augment.view.geometry: within data.context a turned, moved or smaller tile lets neighbours' defects into "
            "its place, under its label; set rotation, translation and shrink to 0 there (augment.name=symmetries has "
            "them so), or surroundings=true to accept that"
        )
    if isinstance(augment, AugMixConfig | RandAugmentConfig):
        for operation in augment.operations:
            if operation in MOVING:
                raise UserError(
                    f"augment.operations: within data.context {operation} lets neighbours' defects into a tile's "
                    "place, under its label; leave it out"
                )


def refuse_boxless(samples: Samples, rows: NDArray[np.int64], augment: AugmentConfig) -> None:
    """Refuse labels that follow the boxes of training ``rows`` if none of these has any."""
    if needs_boxes(augment) and not any(samples.column("boxes", rows)):
        raise UserError(
            f"{samples.name}: no training sample has defect boxes, which augment.labels=defect_aware follows; fill the "
            "column 'boxes', or set augment.labels=area or kept"
        )


def refuse_missing_weights(config: StageConfig) -> None:
    """Refuse checkpoints that are not there or not finished, before anything is packed for them."""
    downsizer = config.downsizer if isinstance(config, FinetuneConfig) else None
    for name in (config.checkpoint, downsizer.checkpoint if downsizer else "none"):
        if name not in ("auto", "none"):
            weights_file(Path(name))


def refuse_full_disk(needed: int, run: Run, fabric: Fabric) -> None:
    """Refuse to train where checkpoints of ``needed`` bytes find no room; the first process' disk counts."""
    folder = run.folder.absolute()
    there = next(each for each in [folder, *folder.parents] if each.exists())
    free = fabric.broadcast(shutil.disk_usage(there).free)
    missing = needed // 2 if run.resumed else needed  # half of it is there
    if free < missing:
        raise UserError(
            f"{run.folder}: checkpoints need {missing / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free there; "
            "free some space, or choose another --out"
        )


def warn_of_idle_loss(loss: LossConfig, counts: NDArray[np.int64], steps: int) -> None:
    """Say when what a loss is chosen for cannot act.

    Args:
        loss: The loss.
        counts: (K,) samples of each class as the sampler shows them.
        steps: Optimiser steps of the whole training.
    """
    if loss.by_counts and counts.max() <= EVEN * counts.min():
        what = "class_weights" if isinstance(loss, CrossEntropyConfig) else "name"
        log.warning(
            "loss.%s: the sampler shows %s of the classes, so that %s treats them alike; set sampler.name=natural to "
            "see what it does",
            what, " and ".join(map(str, counts)), getattr(loss, what),
        )  # fmt: skip
    if isinstance(loss, LargeMarginSoftmaxConfig) and steps < loss.anneal_steps:
        log.warning(
            "loss.anneal_steps: %d steps of training end before the margin counts in full, after %d; lower it, or "
            "train longer",
            steps, loss.anneal_steps,
        )  # fmt: skip


def warn_of_few(labels: NDArray[np.int64]) -> None:
    """Say when a class has hardly any training sample: by which of them it is known is then chance.

    Args:
        labels: (N,) of the training samples, -1 for unlabelled.
    """
    for number, label in enumerate(LABELS):
        count = np.count_nonzero(labels == number)
        if count < FEW:
            log.warning(
                "%s: %d training sample%s say little of its looks; label more ('ssl-pcb audit next' says which)",
                label, count, "" if count == 1 else "s",
            )  # fmt: skip


def warn_of_queue(keys: int, available: int, unit: str) -> None:
    """Say when MoCo's queue holds earlier keys of the very samples that they are compared with."""
    if keys >= available:
        log.warning(
            "method.queue: %d keys of %d %ss hold each one about %.0f times, as its own negative; "
            "set it well below the number of %ss",
            keys, available, unit, keys / available, unit,
        )  # fmt: skip


def warn_of_head_norm(config: PretrainConfig, objective: nn.Module, backbone: nn.Module) -> None:
    """Say when a projection head brings back the batch norm that the backbone was chosen to do without."""
    has_key = getattr(config.method, "head_batch_norm", False)
    if has_key and _has_batch_norm(objective) and not _has_batch_norm(backbone):
        log.warning(
            "method.head_batch_norm: %s has no batch norm, but the projection head has, and so ties the samples of a "
            "batch together all the same; set it to false to do without",
            config.backbone.name,
        )


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(each, _BatchNorm) for each in module.modules())


def refuse_shared_images(samples: Samples) -> None:
    """Refuse data in which the same file contents stand on both sides of the split."""
    training = samples.store.hashes[samples.rows("train")]
    judging = samples.rows("val", "test")
    shared = judging[np.isin(samples.store.hashes[judging], training)]
    if len(shared):
        raise UserError(
            f"{samples.name}: {len(shared)} validation or test samples are copies of training images, first "
            f"{samples.column('path', shared[:1])[0]}; 'ssl-pcb data check' lists them; keep one of each in "
            "the manifest, or give all the same split"
        )


def check_resumable(run: Run, config: StageConfig, asked: Mapping[str, Any]) -> Any:
    """The config of the run to resume; refuses keys asked for now that differ from it.

    Args:
        run: A resumed run.
        config: What the present command means. Whether to profile is taken from it: that changes no training.
        asked: Keys given with it; those that it leaves to be chosen agree with whatever was chosen.

    Raises:
        UserError: Naming the first key that differs.
    """
    kept = read_config(run.folder, run.stage)
    for key in flatten(asked):
        had, wanted = _value(kept, key), _value(config, key)
        chosen = wanted == "auto" or (key == "runtime.threads" and wanted == 0)
        if wanted != had and not chosen and key not in FREE:
            raise UserError(f"{key}: the run to resume has {had}, not {wanted}; leave it out, or start a new run")
    return kept.model_copy(update={"profile": config.profile}) if hasattr(config, "profile") else kept


def refuse_changed_data(run: Run, name: str, data: Mapping[str, Any]) -> None:
    """Refuse to resume a run on other data than it began with; labels are no part of pretraining's data."""
    key = "images_fingerprint" if run.stage == "pretrain" else "fingerprint"
    began_with = read_run(run.folder).get("data", {}).get(key)
    if run.resumed and began_with not in (None, data[key]):
        raise UserError(f"{name}: has changed since {run.folder} began; start a new run")


def _value(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part, None)
    return config
