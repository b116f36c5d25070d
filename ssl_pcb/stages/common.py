"""Steps that several stages share: where weights come from, how long it will take, what is recorded."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from ssl_pcb.config.load import flatten
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.config.stages import StageConfig
from ssl_pcb.data.loaders import ArrayDataset, Batch
from ssl_pcb.data.samples import Samples
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.reports.ledger import record_test_touch
from ssl_pcb.reports.run import Run, read_config, read_run
from ssl_pcb.training.checkpoint import load_backbone
from ssl_pcb.training.lineage import TrainedOn, find_leak
from ssl_pcb.training.runtime import derive_seed, make_generator

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Weights that a stage starts from.

    Attributes:
        checkpoint: What the resolved config records: a path, or ``none``.
        backbone: The network with those weights.
        seen: What the weights were trained on.
        leak: How they saw validation or test boards, if they did (and that was allowed).
    """

    checkpoint: str
    backbone: Backbone
    seen: TrainedOn
    leak: str | None


def start_from(
    checkpoint: str,
    config: BackboneConfig,
    samples: Samples,
    runtime: RuntimeConfig,
    *,
    transductive: bool,
    beside: Path,
) -> Start:
    """Build the backbone and load what ``checkpoint`` means.

    Args:
        checkpoint: A run folder, a weights file, ``none``, or ``auto``.
        config: The backbone.
        samples: Present data, whose validation and test boards must be new to the weights.
        runtime: Seed of a random initialisation.
        transductive: Accept weights that saw them.
        beside: The run folder; ``auto`` also looks at its neighbours.

    Raises:
        UserError: If the checkpoint does not fit, or saw what it will be judged on.
    """
    if checkpoint == "auto":
        checkpoint = _newest_compatible(config, samples, {Path("runs").resolve(), beside.resolve().parent})
    torch.manual_seed(derive_seed(runtime.seed, "init"))
    backbone = Backbone(config, samples.store.spec.channels)
    if checkpoint == "none":
        log.info("starting from %s", "timm's weights" if config.weights == "timm" else "random initialisation")
        return Start(checkpoint, backbone, TrainedOn.of([], []), None)
    path = Path(checkpoint)
    load_backbone(backbone, path)
    seen = TrainedOn.read(path)
    log.info("starting from checkpoint %s%s", checkpoint, "" if seen else ", which has no record of its images")
    seen = seen or TrainedOn.of([], [])
    leak = find_leak(seen, trained_on(samples, samples.rows("val", "test")))
    if leak and not transductive:
        raise UserError(
            f"{checkpoint}: was {leak}; pretrain on the training boards alone, "
            "or pass --transductive to accept and mark it"
        )
    if leak:
        log.warning("TRANSDUCTIVE: the checkpoint was %s", leak)
    return Start(checkpoint, backbone, seen, leak)


def trained_on(samples: Samples, rows: NDArray[np.int64]) -> TrainedOn:
    """The images and boards behind manifest ``rows``."""
    return TrainedOn.of(set(samples.store.hashes[rows].tolist()), set(samples.column("group", rows)))


def _newest_compatible(config: BackboneConfig, samples: Samples, roots: set[Path]) -> str:
    images = samples.fingerprint(labels=False)
    found: list[tuple[str, Path]] = []
    for file in (file for root in roots for file in root.glob("*/run.json")):
        record = read_run(file.parent)
        if record.get("stage") != "pretrain" or record.get("status") != "finished":
            continue
        network = (record["backbone"]["name"], record["backbone"]["channels"])
        same_data = record["data"]["images_fingerprint"] == images
        if same_data and network == (config.name, samples.store.spec.channels):
            found.append((record["ended"], file.parent))
    if not found:
        log.info("no finished pretraining run on this data with %s", config.name)
        return "none"
    newest = max(found)[1]
    return str(newest.relative_to(Path.cwd())) if newest.is_relative_to(Path.cwd()) else str(newest)


def announce_cost(objective: nn.Module, dataset: ArrayDataset, batch_size: int, steps: int, fabric: Fabric) -> None:
    """Say how long ``steps`` steps will take and what disk checkpoints need, from a trial on a copy."""
    trial = copy.deepcopy(objective).to(fabric.device)
    count = min(batch_size, 32, len(dataset))
    batch: Batch = dataset.__getitems__(list(range(count))).to(fabric.device)
    for _ in range(2):
        began = time.perf_counter()
        with fabric.autocast():
            output = trial(batch, make_generator(fabric.device, "trial"))
        output.loss.backward()
        seconds = time.perf_counter() - began
    weights = sum(p.numel() * p.element_size() for p in objective.parameters())
    log.info(
        "expected: about %s for %d steps of %d samples, and %.0f MB of disk for checkpoints",
        duration(seconds / count * batch_size * steps), steps, batch_size, weights * 5 / 1e6,
    )  # fmt: skip


def announce_features(backbone: Backbone, samples: Samples, splits: list[str], passes: int, fabric: Fabric) -> None:
    """Say how long the features of ``splits`` will take in ``passes`` networks, from a trial, and their disk."""
    rows = samples.rows(*splits, labelled=True)
    images = torch.zeros(32, samples.store.spec.channels, *2 * (samples.store.spec.size,), device=fabric.device)
    trial = copy.deepcopy(backbone).eval().to(fabric.device)
    for _ in range(2):
        began = time.perf_counter()
        with torch.no_grad(), fabric.autocast():
            trial(images)
        seconds = time.perf_counter() - began
    log.info(
        "expected: about %s for the features of %d %ss in %d network(s), unless cached, and %.0f MB of disk",
        duration(seconds / len(images) * len(rows) * passes), len(rows), samples.unit, passes,
        len(rows) * backbone.dim * 4 * passes / 1e6,
    )  # fmt: skip


def duration(seconds: float) -> str:
    """Seconds in words: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def refuse_small(samples: Samples, available: int, batch_size: int) -> None:
    """Refuse a training with fewer samples an epoch than a batch holds."""
    if available < batch_size:
        raise UserError(
            f"{samples.name}: {available} training samples an epoch are fewer than a batch of {batch_size}; "
            f"lower --batch-size to at most {available}"
        )


def record_test(run: Run, ledger: Path, samples: Samples, purpose: str, auroc: float | None, start: Start) -> None:
    """Write one look at the test split into the run's and the project's ledger."""
    rows = samples.rows("test", labelled=True)
    record_test_touch(
        [run.folder / "test_ledger.csv", ledger],
        {
            "command": run.stage,
            "run": str(run.folder),
            "data": samples.name,
            "data_fingerprint": samples.fingerprint(labels=True),
            "split": "test",
            "boards": " ".join(sorted(set(samples.column("group", rows)))),
            "samples": str(len(rows)),
            "auroc": "" if auroc is None else f"{auroc:.4f}",
            "purpose": purpose,
            "transductive": start.leak or "",
        },
    )


def marks(samples: Samples, start: Start | None = None) -> list[str]:
    """Reservations that every summary repeats: not board-disjoint, transductive."""
    found = [] if samples.manifest.board_disjoint else ["not board-disjoint"]
    return [*found, f"transductive: {start.leak}"] if start and start.leak else found


def check_resumable(run: Run, config: StageConfig, asked: Mapping[str, Any]) -> Any:
    """The config of the run to resume; refuses keys asked for now that differ from it.

    Args:
        run: A resumed run.
        config: What the present command means.
        asked: Keys given with it; those that it leaves at ``auto`` agree with whatever was chosen.

    Raises:
        UserError: Naming the first key that differs.
    """
    kept = read_config(run.folder, run.stage)
    for key in flatten(asked):
        had, wanted = _value(kept, key), _value(config, key)
        if wanted not in (had, "auto") and key != "runtime.out":
            raise UserError(f"{key}: the run to resume has {had}, not {wanted}; leave it out, or start a new run")
    return kept


def refuse_changed_data(run: Run, samples: Samples) -> None:
    """Refuse to resume a run on other data than it began with; labels are no part of pretraining's data."""
    key = "images_fingerprint" if run.stage == "pretrain" else "fingerprint"
    began_with = read_run(run.folder).get("data", {}).get(key)
    if run.resumed and began_with not in (None, samples.describe()[key]):
        raise UserError(f"{samples.name}: has changed since {run.folder} began; start a new run")


def _value(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part, None)
    return config
