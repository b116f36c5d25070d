"""A trained classifier, from its run folder or from an exported model; the latter needs no torch."""

from __future__ import annotations

import logging
from pathlib import Path

from ssl_pcb.deploy.onnx_network import open_onnx
from ssl_pcb.deploy.predictor import Predictor
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)


def load_classifier(
    model: Path | str, *, device: str = "auto", threads: int | None = None, evaluation: Path | str | None = None
) -> Predictor:
    """A classifier that judges images: ``load_classifier(run)(images)``.

    Thresholds, calibration and the field's rate of defects are those of the run's newest ``ssl-pcb evaluate``; in an
    exported model, those of the run when it was exported.

    Args:
        model: A finished run of finetune, or an ``.onnx`` file that ``ssl-pcb export`` made of one.
        device: Where a run computes: ``auto``, ``cpu`` or ``cuda``. Exported models compute on the CPU.
        threads: That compute; ``None`` = as torch or onnxruntime finds best.
        evaluation: Of a run, another folder that ``evaluate`` has written, whose thresholds to use.

    Raises:
        UserError: If it is neither, or what it needs is missing.
    """
    path = Path(model)
    if path.is_dir():
        from ssl_pcb.stages.deployed import open_run

        found = open_run(path, device, threads, None if evaluation is None else Path(evaluation))
    elif evaluation is not None:
        raise UserError(f"--evaluation: {path} carries its own thresholds; export the run anew with others")
    else:
        found = open_onnx(path, threads)
    if found.facts.operating.of_validation:
        log.warning("%s: probabilities are at %s", path, found.facts.operating.at_rate)
    return found
