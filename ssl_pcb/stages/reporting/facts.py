"""What was trained on what: a run's record in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.stages import StageConfig
from ssl_pcb.stages.costs import duration

SPLITS = {"train": "training", "holdout": "kept apart", "val": "validation", "test": "test", "none": "no split"}
DID = {
    "pretrain": "pretrained without labels", "linear-eval": "probed, the network frozen", "finetune": "finetuned",
    "crossval": "finetuned once a fold",
}  # fmt: skip


NAMES = ("ssl-pcb", "__main__.py")
"""What a command line begins with; from Python there is none."""


def facts(record: Mapping[str, Any], config: StageConfig) -> list[tuple[str, str]]:
    """Name and value of each, in the order to be read."""
    data = record.get("data", {})
    known = {
        "Stage": _did(record, config),
        "Data": data.get("manifest"),
        "Boards": "never on both sides of a split" if data.get("board_disjoint") else "not known to be apart",
        "Image size": f"{config.data.scale}, {config.data.channels} channel(s)",
        "Network": _network(record, config),
        "Starts from": record.get("checkpoint", getattr(config, "checkpoint", None)),
        "Learns by": _recipe(config),
        "Took": duration(record["seconds"]) if record.get("seconds") is not None else None,
        "Made": _moment(record.get("ended", record.get("started"))),
        "Commit": record.get("commit"),
        "On": _machine(record.get("hardware", {})),
        "Data fingerprint": data.get("fingerprint"),
    }
    return [(name, str(value)) for name, value in known.items() if value not in (None, "")]


def _moment(stamp: str | None) -> str | None:
    try:
        return f"{datetime.fromisoformat(stamp or ''):%Y-%m-%d %H:%M:%S} UTC"
    except (TypeError, ValueError):  # none, or damaged
        return None


def sentence(record: Mapping[str, Any], config: StageConfig) -> str:
    """The same in one sentence."""
    data = record.get("data", {})
    train = data.get("splits", {}).get("train", {})
    of = f": {train['samples']:,} training {data.get('unit', 'image')}s" if train else ""
    boards = f" of {train['groups']} boards" if train.get("groups") else ""
    name = record.get("backbone", {}).get("network", config.backbone.name)
    on = data.get("manifest", "shards")
    return f"{name}, {_did(record, config)}, on {on}{of}{boards}, at {config.data.scale}."


def splits(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a split: ``name``, ``samples``, ``defective``, ``good``, ``boards``."""
    found = record.get("data", {}).get("splits", {})
    order = [name for name in SPLITS if name in found]
    return [
        {"name": SPLITS[name], "samples": found[name]["samples"], "defective": found[name].get("Defective", 0),
         "good": found[name].get("NonDefective", 0), "boards": found[name].get("groups", "")}
        for name in order
    ]  # fmt: skip


def versions(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Packages that it stood on."""
    return [(name, str(value)) for name, value in record.get("versions", {}).items() if value]


def command(record: Mapping[str, Any]) -> str:
    """How it was called, last."""
    words = (record.get("sessions") or [{}])[-1].get("command") or []
    return " ".join(["ssl-pcb", *map(str, words[1:])]) if words and Path(words[0]).name in NAMES else ""


def _did(record: Mapping[str, Any], config: StageConfig) -> str:
    stage = str(record["stage"])
    if stage == "finetune" and not config.training.epochs:
        stage = "linear-eval"  # the probe is all there is of it
    return DID.get(stage, stage)


def _network(record: Mapping[str, Any], config: StageConfig) -> str:
    parameters = record.get("parameters")
    name = record.get("backbone", {}).get("network", config.backbone.name)
    views = ", judges by eight views" if config.backbone.tta == "symmetries" else ""
    return f"{name}, {parameters / 1e6:.1f} million parameters{views}" if parameters else f"{name}{views}"


def _recipe(config: StageConfig) -> str:
    if isinstance(config, PretrainConfig):
        return f"{config.method.name}, {_epochs(config.training.epochs)}"
    if isinstance(config, LinearEvalConfig):
        return f"{config.reported_probe} probe"
    if not config.training.epochs:
        return "logistic probe, nothing trained"
    steps = f", {config.steps_per_epoch} steps each" if config.steps_per_epoch else ""
    return (
        f"{config.loss.name}, sampler {config.sampler.name}, augmentation {config.augment.name}, "
        f"{_epochs(config.training.epochs)}{steps}"
    )


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count > 1 else ''}"


def _machine(hardware: Mapping[str, Any]) -> str:
    cores = f"{hardware.get('cores')} cores, {hardware.get('threads')} used"
    return str(hardware.get("gpu") or f"{hardware.get('machine', '')} {hardware.get('system', '')}, {cores}")
