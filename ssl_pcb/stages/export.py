"""One file that judges without torch, checked against the run that it comes from before it is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.augment.views import centre
from ssl_pcb.data.files import whole_file
from ssl_pcb.data.loaders import batches, images_at_once
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.deploy.onnx_network import open_onnx
from ssl_pcb.deploy.predictor import Predictor
from ssl_pcb.errors import UserError
from ssl_pcb.stages.deployable import TorchNetwork
from ssl_pcb.stages.deployed import Deployed, deploy, judged_in
from ssl_pcb.stages.export_card import model_card
from ssl_pcb.stages.export_checks import Agreement, Beside, agreement, beside, refuse_disagreement
from ssl_pcb.stages.onnx_export import quantise, write_onnx

log = logging.getLogger(__name__)

CALIBRATION_SAMPLES = 256
"""Training samples, evenly spread, that show int8 the ranges of activations."""


def export(run: Path, out: Path, evaluation: Path | None, *, int8: bool) -> None:
    """Write the run's classifier to ``out``, its card beside it, and if asked an int8 version beside both.

    Args:
        run: A finished run of finetune, with its data at hand: validation checks the file.
        out: A new ``.onnx`` file.
        evaluation: A folder that ``evaluate`` has written; ``None`` = the newest one in the run.
        int8: Quantise too.

    Raises:
        UserError: On whatever the user can mend, and if file and run disagree on validation; then nothing is left.
    """
    fast, card = out.with_suffix(".int8.onnx"), out.with_suffix(".md")
    _refuse_used([out, card, *([fast] if int8 else [])])
    deployed = deploy(run, "cpu", evaluation)
    samples = _samples(deployed)
    val = deployed.saved.split("val")
    with ExitStack() as files:
        part = files.enter_context(whole_file(out))
        write_onnx(deployed.module, deployed.facts, part)
        plain = Predictor(deployed.facts, TorchNetwork(deployed.module, deployed.judge.fabric.device))
        exported = open_onnx(part)
        found = agreement(plain, exported, _pixels(deployed, samples, val.rows), val.scores)
        say_agreement(found, deployed.facts.unit)
        refuse_disagreement(out, found)
        say_of_saved(found, judged_in(deployed.saved, deployed.judge))
        quick = _int8(deployed, samples, part, files.enter_context(whole_file(fast)), exported) if int8 else None
        files.enter_context(whole_file(card)).write_text(model_card(deployed, found, quick), encoding="utf-8")
    if deployed.facts.operating.of_validation:
        log.warning("%s: probabilities are at %s", out, deployed.facts.operating.at_rate)
    log.info("written: %s%s; what it is and is not for: %s", out, f" and {fast}" if int8 else "", card)


def _int8(deployed: Deployed, samples: Samples, plain: Path, out: Path, exported: Predictor) -> Beside:
    rows = samples.rows("train")
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(CALIBRATION_SAMPLES, len(rows))).astype(int))]
    quantise(plain, deployed.facts, _pixels(deployed, samples, rows), out)
    val = deployed.saved.split("val")
    found = beside(exported, open_onnx(out), _pixels(deployed, samples, val.rows), val.labels)
    for line in found.lines():
        log.info("int8: %s", line)
    return found


def say_agreement(found: Agreement, unit: str) -> None:
    """Log how far run and file are apart."""
    log.info(
        "run and file on %d validation %ss: %d verdicts differ, probabilities by up to %.2g, scores by up to %.2g",
        found.samples, unit, found.verdicts, found.probability, found.score,
    )  # fmt: skip


def say_of_saved(found: Agreement, precision: str) -> None:
    """Warn where a score that the run has saved leads to another verdict than the same network computes now."""
    if found.judged_otherwise:
        why = "" if precision == "fp32" else f", which was in {precision}; a run made anew is judged in fp32"
        log.warning(
            "%d of them have another verdict than when the run was evaluated (scores by up to %.2g)%s",
            found.judged_otherwise, found.judged_score, why,
        )  # fmt: skip


def _samples(deployed: Deployed) -> Samples:
    samples, _ = load_samples(deployed.judge.config.data)
    if samples.describe()["fingerprint"] != deployed.saved.record["data"]["fingerprint"]:
        raise UserError(
            f"{samples.name}: has changed since {deployed.saved.run} was made, and its validation samples check the "
            "export; bring it back as it was, or make the run anew"
        )
    return samples


def _pixels(deployed: Deployed, samples: Samples, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """Batches (B, C, S, S) of manifest rows (N,), as the network sees them."""
    size = deployed.facts.image_size
    at_once = images_at_once(size, deployed.judge.fabric.device)
    for batch in batches(samples.pixels(rows), np.arange(len(rows)), at_once, drop_last=False):
        yield centre(batch.inputs, size).contiguous().numpy()


def _refuse_used(files: list[Path]) -> None:
    if files[0].suffix != ".onnx":
        raise UserError(f"--out: {files[0]} must end in .onnx")
    if not files[0].parent.is_dir():
        raise UserError(f"--out: there is no folder {files[0].parent}; make it first")
    for file in files:
        if file.exists():
            raise UserError(f"{file}: exists; a model in use is not overwritten, so choose another --out or remove it")
