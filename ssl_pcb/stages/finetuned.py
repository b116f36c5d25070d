"""The classifier of a finished finetuning, as it judges."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.errors import UserError
from ssl_pcb.models.heads import Head, build_head
from ssl_pcb.objectives.classification import ImageClassifier
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.stages.classifier import build_classifier
from ssl_pcb.stages.downsizing import load_finetuned
from ssl_pcb.training.checkpoint import HEAD, read_weights
from ssl_pcb.training.processes import alone
from ssl_pcb.training.runtime import memory_format


@dataclass(frozen=True)
class Classifier:
    """A finetuned network on its device, in eval mode.

    Attributes:
        config: The run's.
        model: Network and head.
        threshold: Scores of at least this are Defective; validation chose it.
        fabric: Device, and fp32.
    """

    config: FinetuneConfig
    model: ImageClassifier
    threshold: float
    fabric: Fabric


def load_classifier(folder: Path, device: str) -> Classifier:
    """The classifier of the run in ``folder``, in fp32 whatever it was trained in.

    bfloat16 rounds otherwise on every processor, and a threshold must mean the same on each of them.

    Args:
        folder: A finished run of finetune.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: If it is no such run, or is damaged.
    """
    record = read_run(folder)
    if record.get("status") != "finished" or record.get("stage") != "finetune":
        raise UserError(f"{folder}: is no folder of a finished finetuning; name one that 'ssl-pcb finetune' has made")
    config = read_config(folder, "finetune")
    assert isinstance(config, FinetuneConfig)
    backbone = load_finetuned(config, folder)
    bare = config.model_copy(update={"auxiliary": None})  # it took part in training alone
    model = build_classifier(bare, backbone, np.ones(len(LABELS), np.int64)).eval()
    _fill(model.classifier.head, folder / HEAD)
    runtime = config.runtime.model_copy(update={"device": device, "precision": "fp32"})
    fabric = alone(runtime)
    model.to(fabric.device, memory_format=memory_format(runtime))  # type: ignore[call-overload]
    return Classifier(config, model, _threshold(folder / "summary.json"), fabric)


def load_head(config: FinetuneConfig, dim: int, folder: Path) -> Head:
    """The head of the run in ``folder``, for inputs of ``dim`` channels, in eval mode.

    Raises:
        UserError: If its weights are missing or do not fit.
    """
    head = build_head(config.head, config.loss, dim, len(LABELS)).eval()
    _fill(head, folder / HEAD)
    return head


def _fill(head: Head, file: Path) -> None:
    try:
        head.load_state_dict(read_weights(file)[0])
    except RuntimeError as error:
        raise UserError(f"{file}: does not fit the run's config ({str(error).splitlines()[-1].strip()})") from None


def _threshold(summary: Path) -> float:
    try:
        return float(json.loads(summary.read_text(encoding="utf-8"))["reports"]["val"]["threshold"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{summary}: says no threshold; the run is damaged, make it anew") from None
