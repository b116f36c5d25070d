"""Choose which unlabelled samples to label next."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.audit.drawing import save_sheet
from ssl_pcb.audit.label_sheet import samples_sheet
from ssl_pcb.audit.next_labels import choose_next
from ssl_pcb.data.corrections import corrections_of
from ssl_pcb.data.files import whole_file
from ssl_pcb.data.pool import training_rows
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.decision.calibration import sigmoid
from ssl_pcb.errors import UserError
from ssl_pcb.reports.audit_result import say_audit, write_audit
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.finetune import predict
from ssl_pcb.stages.finetuned import load_classifier
from ssl_pcb.stages.spaces import Space, open_space

log = logging.getLogger(__name__)

TABLE, SHEET, DRAWN = "next.csv", "next.png", 100


def audit_next(data: Path, run: Path, count: int, out: Path, *, seed: int, device: str) -> None:
    """Write the samples to label next, the most useful first, with a picture of them and ``audit.json`` into ``out``.

    Args:
        data: A manifest with unlabelled samples.
        run: A finished finetuning, whose classifier says what it is uncertain of; or a pretraining or linear-eval, in
            whose space the choice is only diverse.
        count: Samples to choose.
        out: New folder.
        seed: Seed of the choice.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_used_folder(out)
    space, rows, columns = _seen(data, run, device)
    choice = choose_next(space.features(rows), count, seed, columns.get("uncertainty"))
    chosen = rows[choice.positions]
    columns = {name: values[choice.positions] for name, values in columns.items()}
    frame = corrections_of(space.samples.manifest, chosen).assign(**columns, stands_for=choice.stands_for)
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / TABLE) as part:
        frame.to_csv(part, index=False, lineterminator="\n", float_format="%.6g")
    save_sheet(samples_sheet(space.samples, chosen[:DRAWN], "to label next"), out / SHEET)
    chose = "uncertain and diverse" if columns else "diverse"
    facts = {"run": str(run), "unlabelled": len(rows), "chosen": count, "chose": chose, "seed": seed}
    write_audit(out, "next", space.samples.describe(), [], facts, SHEET)
    log.info("%d of %d unlabelled %ss to label next, %s", count, len(rows), space.samples.unit, chose)
    say_audit(out, [], [TABLE], SHEET)


def _seen(data: Path, run: Path, device: str) -> tuple[Space, NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """The run's space, the unlabelled rows (N,), and what its classifier says of them (N,), if it has one."""
    if read_run(run).get("stage") != "finetune":
        space = open_space(run, device, manifest=data)
        return space, unlabelled(space.samples), {}
    judge = load_classifier(run, device)
    samples, config = load_samples(judge.config.data.model_copy(update={"manifest": data}))
    rows = unlabelled(samples)
    score = predict(judge.model, samples, rows, judge.fabric)
    # A verdict turns at the threshold, so nothing is less certain than a score there.
    uncertainty = 1 - np.abs(2 * sigmoid(score - judge.threshold) - 1)
    space = Space(judge.model.backbone, samples, config, judge.fabric)
    return space, rows, {"score": score, "uncertainty": uncertainty}


def unlabelled(samples: Samples) -> NDArray[np.int64]:
    """Manifest rows without a label that training may learn from: none of validation and test boards.

    Raises:
        UserError: If there are none.
    """
    if (samples.labels < 0).any():
        rows = training_rows(samples, use_unsplit=True)
        rows = rows[samples.labels[rows] < 0]
        if len(rows):
            return rows
    raise UserError(
        f"{samples.name}: has no unlabelled samples outside validation and test boards; import new images, with an "
        "empty label"
    )
