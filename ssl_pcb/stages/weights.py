"""Where a stage's weights come from, and what they have seen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_pcb.config.load import flatten
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.cutting import StoreSpec
from ssl_pcb.data.samples import Samples
from ssl_pcb.data.synthetic.embedded import EMBEDDED
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.training.checkpoint import channels_of, load_backbone, weights_file
from ssl_pcb.training.lineage import TrainedOn, find_leak
from ssl_pcb.training.runtime import derive_seed

log = logging.getLogger(__name__)

BEFORE = {"norm": "own", "antialias": False, "strides": [], "neck": 0}
"""Of the network of a run that does not say."""


@dataclass(frozen=True)
class Start:
    """Weights that a stage starts from.

    Attributes:
        checkpoint: What the resolved config records: a path, or ``none``.
        backbone: The network with those weights.
        seen: What the weights were trained on.
        leak: How they saw validation or test boards, if they did (and that was allowed).
        reservations: What every output must say of these weights.
    """

    checkpoint: str
    backbone: Backbone
    seen: TrainedOn = field(default_factory=TrainedOn)
    leak: str | None = None
    reservations: tuple[str, ...] = ()


def start_from(
    checkpoint: str,
    config: BackboneConfig,
    channels: int,
    runtime: RuntimeConfig,
    *,
    context: int,
    samples: Samples | None,
    transductive: bool | None,
    beside: Path,
    part: str = "",
) -> Start:
    """Build the backbone and load what ``checkpoint`` means.

    Args:
        checkpoint: A run folder, a weights file, ``none``, or ``auto``.
        config: The backbone.
        channels: Input channels.
        runtime: Seed of a random initialisation.
        context: Pixels of each side of an image that surround the sample itself.
        samples: Present data, whose validation and test boards must be new to the weights; ``None`` = shards, which
            have none.
        transductive: Accept weights that saw them; ``None`` where the stage has no such choice.
        beside: The run folder; ``auto`` also looks at its neighbours.
        part: What of the network this is, if not all of it.

    Raises:
        UserError: If the checkpoint does not fit, or saw what it will be judged on.
    """
    if checkpoint == "auto":
        checkpoint = "none" if samples is None else _newest_compatible(config, samples, _roots(beside))
    if checkpoint != "none":
        config = config.model_copy(update={"weights": "none"})  # they would be overwritten, so spare the download
    elif config.norm == "frozen" and config.weights == "none":
        raise UserError(
            "backbone.norm: frozen batch norm keeps a random network's branches at zero for ever; give start weights "
            "with --checkpoint, or set backbone.norm=group"
        )
    torch.manual_seed(derive_seed(runtime.seed, "init"))
    backbone = Backbone(config, channels, context)
    if checkpoint == "none":
        origin = "timm's weights" if config.weights == "timm" else "random initialisation"
        log.info("%sstarting from %s", f"{part} " if part else "", origin)
        return Start(checkpoint, backbone)
    file = weights_file(Path(checkpoint))
    load_backbone(backbone, file)
    seen = TrainedOn.read(file)
    log.info("%sstarting from checkpoint %s", f"{part} " if part else "", checkpoint)
    if seen is None:
        return Start(checkpoint, backbone, reservations=("the checkpoint has no record of its training images",))
    if samples is None:
        return Start(checkpoint, backbone, seen)
    _warn_of_scale(Path(checkpoint), samples.store.spec)
    leak = find_leak(seen, trained_on(samples, samples.rows("val", "test")))
    if leak and not transductive:
        choice = "" if transductive is None else ", or pass --transductive to accept and mark it"
        raise UserError(f"{checkpoint}: was {leak}; pretrain on the training boards alone{choice}")
    return Start(checkpoint, backbone, seen, leak, tuple(_reservations(seen, leak, samples)))


def _reservations(seen: TrainedOn, leak: str | None, samples: Samples) -> Iterator[str]:
    if leak:
        yield f"transductive: the checkpoint was {leak}"
    if seen.images & set(samples.store.digests(samples.rows("holdout"))):
        yield "the checkpoint has seen kept-apart images (split 'holdout')"


def _warn_of_scale(folder: Path, spec: StoreSpec) -> None:
    """Say where the run in ``folder`` has learned from samples of another size: a defect is another thing to it."""
    stage = read_run(folder).get("stage") if folder.is_dir() else None
    if stage is None:
        return
    then = read_config(folder, stage).data
    now = then.model_copy(update={"image_size": spec.size, "context": spec.context})
    if then.scale != now.scale:
        log.warning(
            "%s learned from samples seen at %s, and here they are seen at %s; set data.image_size=%d and "
            "data.context=%d to show them as it knows them",
            folder, then.scale, now.scale, then.image_size, then.context,
        )  # fmt: skip


def backbone_of(checkpoint: str) -> BackboneConfig | None:
    """The network of the run folder ``checkpoint``; ``None`` if it is no run folder."""
    folder = Path(checkpoint)
    stage = read_run(folder).get("stage") if folder.is_dir() else None
    given = {"weights": "none", "init": "own"}
    return read_config(folder, stage).backbone.model_copy(update=given) if stage else None


def objective_of(checkpoint: str) -> dict[str, Any]:
    """Dotted keys of method and views with which ``checkpoint`` was pretrained; none if it is no pretraining's run."""
    folder = Path(checkpoint)
    if not folder.is_dir() or read_run(folder).get("stage") != "pretrain":
        return {}
    return flatten(read_config(folder, "pretrain").model_dump(mode="json", include={"method", "view"}))


def newest_backbone(manifest: object, out: object, *, references: bool) -> BackboneConfig | None:
    """The network of the newest finished pretraining on a manifest, which ``auto`` will then find.

    ``None`` if there is no such run.

    Args:
        manifest: Path; ``None`` = the embedded synthetic boards.
        out: The run folder to be, beside which such a run may lie too; ``None`` = one below ``runs``.
        references: Whether it is to see golden images.
    """
    wanted = Path(str(manifest or EMBEDDED)).resolve()
    roots = {Path("runs").resolve(), *([Path(str(out)).resolve().parent] if out else [])}
    for _, folder, record in sorted(_pretrainings(roots), key=lambda each: each[0], reverse=True):
        name = record.get("data", {}).get("manifest")  # streams have none
        both = record["backbone"]["channels"] % 2 == 0  # twice 1 or 3
        if name is None or Path(name).resolve() != wanted or both != references:
            continue
        try:
            return backbone_of(str(folder))
        except UserError as error:
            log.warning("%s: is passed over, its config cannot be read (%s)", folder, error)
    return None


def describe_backbone(config: BackboneConfig, channels: int) -> dict[str, object]:
    """What a run records of its network, by which ``auto`` finds one that fits."""
    return {
        "name": config.name,
        "channels": channels,
        "norm": config.norm,
        "antialias": config.antialias,
        "strides": list(config.strides),
        "neck": config.neck,
    }


def trained_on(samples: Samples, rows: NDArray[np.int64]) -> TrainedOn:
    """The images and boards behind manifest ``rows``."""
    return TrainedOn.of(*samples.seen(rows))


def as_seen(checkpoint: str, config: BackboneConfig, paired: Samples, beside: Path) -> Samples:
    """``paired`` as a frozen network sees them: with golden images only if it has learned with them.

    Args:
        checkpoint: As of :func:`start_from`.
        config: The backbone.
        paired: Samples, perhaps with golden images.
        beside: The run folder.

    Raises:
        UserError: If the checkpoint is missing.
    """
    if paired.references is None or checkpoint == "none":
        return paired.without_references
    if checkpoint == "auto":
        return paired if _compatible(config, paired, _roots(beside))[0] else paired.without_references
    return paired if channels_of(Path(checkpoint)) == paired.channels else paired.without_references


def _roots(beside: Path) -> set[Path]:
    """Where ``auto`` looks."""
    return {Path("runs").resolve(), beside.resolve().parent}


Ended = tuple[str, Path]
"""When a run ended, and its folder."""


def _compatible(config: BackboneConfig, samples: Samples, roots: set[Path]) -> tuple[list[Ended], list[Ended]]:
    """Pretrainings on these images: those of this network, and all.

    A network that sees images alone may have learned where golden images only said what is alike.
    """

    def learned_from_them(record: dict[str, Any]) -> bool:
        known = [record.get("data", {}).get("images_fingerprint")]
        if record["backbone"]["channels"] == samples.channels:
            known.append(record.get("data", {}).get("images_alone_fingerprint"))
        return images in known

    images = samples.fingerprint(labels=False)
    wanted = describe_backbone(config, samples.channels)
    on_it = [(ended, run, record) for ended, run, record in _pretrainings(roots) if learned_from_them(record)]
    found = [(ended, run) for ended, run, record in on_it if (BEFORE | record["backbone"]) == wanted]
    return found, [(ended, run) for ended, run, _ in on_it]


def _newest_compatible(config: BackboneConfig, samples: Samples, roots: set[Path]) -> str:
    found, on_it = _compatible(config, samples, roots)
    if not found and on_it:
        newest = max(on_it)[1]
        log.warning(
            "%s was pretrained on this data with another network than this one; to start from it, name it with "
            "--checkpoint and leave backbone keys out", newest,
        )  # fmt: skip
    if not found:
        log.info("no finished pretraining run on this data with this network (%s)", config.name)
        return "none"
    newest = max(found)[1]
    return str(newest.relative_to(Path.cwd())) if newest.is_relative_to(Path.cwd()) else str(newest)


def _pretrainings(roots: set[Path]) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """When finished pretrainings below ``roots`` ended, their folders and records."""
    for file in (file for root in roots for file in root.glob("*/run.json")):
        record = read_run(file.parent)
        if record.get("stage") == "pretrain" and record.get("status") == "finished":
            yield record["ended"], file.parent, record
