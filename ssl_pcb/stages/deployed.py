"""A finished finetuning as a classifier that judges images."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_pcb.data.samples import load_samples
from ssl_pcb.deploy.facts import LONGEST, ModelFacts, Operating
from ssl_pcb.deploy.predictor import Predictor
from ssl_pcb.reports.saved import Saved, read_saved
from ssl_pcb.stages.deployable import Deployable, TorchHeats, TorchNetwork
from ssl_pcb.stages.familiarity import features_of
from ssl_pcb.stages.finetuned import Classifier, load_classifier
from ssl_pcb.stages.operating import operating_of
from ssl_pcb.stages.panels import tile_side
from ssl_pcb.training.checkpoint import BACKBONE, HEAD

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deployed:
    """A run, ready to judge or to be exported.

    Attributes:
        saved: Its predictions.
        judge: Network and head, in fp32.
        facts: How images become pixels, and scores verdicts.
        module: What computes.
    """

    saved: Saved
    judge: Classifier
    facts: ModelFacts
    module: Deployable


def open_run(folder: Path, device: str, threads: int | None, evaluation: Path | None) -> Predictor:
    """The classifier of the run in ``folder``, as :func:`ssl_pcb.stages.opening.load_classifier` gives it."""
    if threads is not None:
        torch.set_num_threads(threads)
    run = deploy(folder, device, evaluation)
    there = run.judge.fabric.device
    return Predictor(run.facts, TorchNetwork(run.module, there), TorchHeats(run.judge.model, there))


def deploy(folder: Path, device: str, evaluation: Path | None) -> Deployed:
    """Read all that the run in ``folder`` needs to judge images.

    Args:
        folder: A finished run of finetune.
        device: ``auto``, ``cpu`` or ``cuda``.
        evaluation: A folder that ``evaluate`` has written; ``None`` = the newest one in the run.

    Raises:
        UserError: If it is no such run, is damaged, or the training images that it compares with are gone.
    """
    judge = load_classifier(folder, device)
    saved = read_saved(folder)
    operating = operating_of(saved, evaluation)
    if judged_in(saved, judge) != "fp32":
        log.info("%s: was judged in bf16; this is fp32, and close calls may differ", folder)
    bank = _bank(judge) if operating.unfamiliar_from is not None else None
    return Deployed(saved, judge, _facts(saved, judge, operating), Deployable(judge.model, bank).eval())


def judged_in(saved: Saved, judge: Classifier) -> str:
    """The precision of the scores that a run has saved; those of old are in that of training."""
    return str(saved.record.get("judged_in", judge.config.runtime.precision))


def _facts(saved: Saved, judge: Classifier, operating: Operating) -> ModelFacts:
    data, tile = judge.config.data, tile_side(saved.frame.get("crop", ()))
    return ModelFacts(
        model=_name(saved.run),
        network=judge.model.backbone.name + ", by eight views of each" * judge.model.backbone.tta,
        unit="image" if tile is None else "tile",
        tile=tile,
        image_size=data.image_size,
        context=data.context,
        least_side=saved.record["data"].get("least_side"),  # runs of earlier versions have none
        most_side=saved.record["data"].get("most_side"),
        margin=0 if tile is None else data.margin_pixels,
        channels=cast(Literal[1, 3], int(data.channels)),
        bit_depth=int(data.bit_depth),
        references=data.references,
        max_pixels=data.max_pixels,
        marks=tuple(mark[:LONGEST] for mark in saved.marks),
        operating=operating,
    )


def _name(folder: Path) -> str:
    """Tells the weights and the design of a run's network from any others."""
    digest = hashlib.sha256()
    for name in ("config.yaml", BACKBONE, HEAD):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()[:12]


def _bank(judge: Classifier) -> NDArray[np.float32]:
    samples, _ = load_samples(judge.config.data)
    return features_of(judge, None, samples.rows("train"))
