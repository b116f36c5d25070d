"""What a run's network says of samples, as galleries ask for it."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_pcb.audit.contact_sheet import contact_sheet
from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.audit.policy_sheet import policy_sheet
from ssl_pcb.augment.views import plain_view
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.stages import StageConfig
from ssl_pcb.config.supervised import CrossvalConfig, FinetuneConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import Samples
from ssl_pcb.evaluation.heat_maps import heat_maps
from ssl_pcb.reports.page.pictures import sheet
from ssl_pcb.stages.finetuned import Classifier, load_classifier
from ssl_pcb.stages.reporting.gallery import Heats

log = logging.getLogger(__name__)

AT_ONCE = 32
DRAWN_FROM = 60
"""Samples with boxes that the sheet of augmentations chooses from."""


def heats_of(run: Path, samples: Samples, device: str, folds: dict[int, int] | None = None) -> Heats:
    """Heat maps by the classifier of a finetuning; of a cross-validation by that of each row's fold.

    Args:
        run: A finished run.
        samples: As it sees them.
        device: ``auto``, ``cpu`` or ``cuda``.
        folds: Manifest row to number of the fold that judged it.

    Raises:
        UserError: If its weights are missing or damaged.
    """
    if folds is None:
        judge = load_classifier(run, device)
        return lambda rows: _heats(judge, samples, rows)
    judges = {fold: load_classifier(run / f"fold-{fold}", device) for fold in sorted(set(folds.values()))}

    def by_fold(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        own = np.array([folds[row] for row in rows.tolist()], np.int64)
        size = samples.store.spec.own
        found = np.zeros((len(rows), size, size), np.float32)
        for fold, judge in judges.items():
            found[own == fold] = _heats(judge, samples, rows[own == fold])
        return found

    return by_fold


def _heats(judge: Classifier, samples: Samples, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    spec, pixels, found = samples.store.spec, samples.pixels(rows), []
    for start in range(0, len(rows), AT_ONCE):
        batch = pixels.__getitems__(list(range(start, min(start + AT_ONCE, len(rows)))))
        found.append(heat_maps(judge.model, plain_view(batch.inputs, spec.size).to(judge.fabric.device)).cpu())
    return torch.cat(found).numpy() if found else np.zeros((0, spec.own, spec.own), np.float32)


def augmentation_sheet(config: StageConfig, samples: Samples, seed: int) -> str:
    """Samples under the run's augmentation, their defects outlined, as a data URI; empty if it has none.

    Raises:
        UserError: If no training sample shows a defect box.
    """
    frame = samples.manifest.frame
    boxed = samples.rows("train")
    boxed = boxed[frame["boxes"].ne("").to_numpy()[boxed]]
    good = samples.rows("train", labelled=True)
    good = good[frame["label"].eq("NonDefective").to_numpy()[good]]
    drawn = np.random.default_rng(seed)
    rows = np.sort(np.concatenate([drawn.permutation(each)[:DRAWN_FROM] for each in (boxed, good)]))
    some = Manifest(frame.iloc[rows].reset_index(drop=True), samples.manifest.root)
    data = config.data.model_copy(update={"references": False})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sheet.png"
        match config:
            case PretrainConfig():
                contact_sheet(some, data, {f"views of {config.method.name}": config.view}, file, seed=seed)
            case FinetuneConfig() | CrossvalConfig() if config.augment.name != "none":
                named = {f"augmentation '{config.augment.name}'": config.augment}
                policy_sheet(PixelSource.open(some, data), named, file, seed=seed)
            case _:
                return ""
        return sheet(file)
