"""Tabulate what batch norm costs here, beside group norm and networks without any norm."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.audit.norms import Step, batch_effects, step_memory, step_seconds
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.loaders import batches
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.samplers import Endless, build_sampler, class_counts
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.provenance import provenance
from ssl_pcb.reports.run import write_json
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.norm_subjects import describe_subject, refuse_incomparable, subjects_of, train_subject

log = logging.getLogger(__name__)

MOST = 8
"""Most batches of validation samples that are scored."""

MEANING = {
    "peak_memory": "MiB that tensors take at most in a training step: weights, gradients, the optimiser's moments, and "
    "what the backward pass needs",
    "step_seconds": "median training step, in the precision that is fastest for the first network here, and in the "
    "layout that is for each",
    "train_eval_gap": "mean difference between a sample's score in training mode and in evaluation mode, in standard "
    "deviations of the scores over samples",
    "batch_dependence": "mean difference between a sample's scores in training mode among different others, likewise; "
    "0 = each is judged by itself",
    "auroc_train": "AUROC on validation samples in training mode",
    "auroc_eval": "AUROC on the same in evaluation mode",
}
"""What the measured columns are."""


def audit_norms(config: FinetuneConfig, also: Sequence[str], steps: int, out: Path) -> pd.DataFrame:
    """Measure ``config.backbone`` with batch norm and with group norm, and the networks ``also`` as they come.

    Each is finetuned from random weights for ``steps`` steps, of which nothing is kept. Writes ``norms.json`` into
    ``out``.

    Args:
        config: Of a finetuning; what it says of checkpoints, epochs and reports does not matter here.
        also: timm model names.
        steps: Of training.
        out: New folder.

    Returns:
        A row for each network: what it is, and the columns of :data:`MEANING`.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_used_folder(out)
    refuse_incomparable(config, also)
    samples, data = load_samples(config.data)
    config = config.model_copy(update={"data": data, "training": config.training.model_copy(update={"epochs": 1})})
    size, seed = config.training.batch_size, config.runtime.seed
    shown = samples.pixels(_to_score(samples, size, seed))
    train = samples.pixels(samples.supervised("train"))
    labels = samples.labels[train.rows]
    inner = build_sampler(config.sampler, labels, seed, size)
    sampler, counts = Endless(inner, steps * size), class_counts(inner, labels, len(LABELS))
    subjects = list(subjects_of(config, samples.channels, counts, also))
    batch = next(iter(batches(train, sampler.epoch(0), size, drop_last=True)))
    log.info("measuring a step of %d samples", size)
    rows = [describe_subject(each) for each in subjects]
    for row, subject in zip(rows, subjects, strict=True):
        own = batch.to(subject.fabric.device)
        row["peak_memory"] = step_memory(subject.model, config.optimizer, own, subject.fabric) / 2**20
    seconds = step_seconds(
        [Step(each.model, config.optimizer, batch.to(each.fabric.device), each.fabric) for each in subjects]
    )
    for row, subject, each in zip(rows, subjects, seconds, strict=True):
        row["step_seconds"] = each
        log.info(
            "training %s with norm %s for %d steps, about %.0f s", row["network"], row["norm"], steps, steps * each
        )
        train_subject(subject, train, sampler, config)
        row |= asdict(batch_effects(subject.model, shown, size, subject.fabric, seed))
    out.mkdir(parents=True, exist_ok=True)
    settings = {"steps": steps, "scored": len(shown), "config": config.model_dump(mode="json")}
    facts = {"data": samples.describe(), **provenance()}
    write_json(out / "norms.json", {"rows": rows, "meaning": MEANING, **settings, **facts})
    return pd.DataFrame(rows)


def say_norms(table: pd.DataFrame) -> None:
    """Log what :func:`audit_norms` returned, and what its columns mean."""
    shown = table.assign(parameters=(table["parameters"] / 1e6).map("{:.1f} M".format))
    for column, form in (("peak_memory", "{:.0f} MiB"), ("step_seconds", "{:.3f} s")):
        shown[column] = shown[column].map(form.format)
    for line in shown.to_string(index=False, float_format="{:.3f}".format, na_rep="-").splitlines():
        log.info("    %s", line)
    for column, meaning in MEANING.items():
        log.info("%s: %s", column, meaning)


def _to_score(samples: Samples, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Random validation rows that fill batches, at least two."""
    rows = samples.supervised("val")
    whole = min(len(rows) // batch_size, MOST)
    if whole < 2:
        raise UserError(
            f"{samples.name}: {len(rows)} labelled validation samples are fewer than two batches of {batch_size}; "
            f"lower --batch-size"
        )
    return np.random.default_rng(seed).permutation(rows)[: whole * batch_size]
