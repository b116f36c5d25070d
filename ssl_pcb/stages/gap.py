"""How far a run falls from its training samples to new boards, and what that comes from."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ssl_pcb.audit.likeness import HASHED, hash_bits, reduced
from ssl_pcb.data.near_duplicates import MAX_DISTANCE
from ssl_pcb.data.parallel import map_files
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.decision.calibrators import fit_calibration
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.gap import Gap, Part, auroc_gap, likeliest_causes, sure_errors
from ssl_pcb.evaluation.neighbours import nearest_bits
from ssl_pcb.evaluation.probes import label_fraction_indices
from ssl_pcb.evaluation.reliability import cross_fitted
from ssl_pcb.imaging.decode import decode
from ssl_pcb.reports.saved import Saved, Scored
from ssl_pcb.stages.finetune import predict
from ssl_pcb.stages.finetuned import Classifier, load_classifier
from ssl_pcb.stages.scoring import refuse_changed

log = logging.getLogger(__name__)

MOST = 2000
"""Most training samples that are scored."""

SPLIT_WORDS = {"val": "validation", "test": "test"}

MENDS = {
    "leakage": "split again by board ('ssl-pcb data split') and look for copies ('ssl-pcb audit duplicates'): these "
    "figures are better than new boards will be",
    "overfitting": "it knows training images by heart: fewer epochs, more augmentation or weight decay, more images",
    "board shift": "it knows the training boards better than others: pretrain on, or label, more kinds of boards",
    "label noise": "it is sure of itself where labels say otherwise: look at them with 'ssl-pcb audit labels'",
}


def open_gap(saved: Saved, device: str) -> tuple[Classifier, Samples]:
    """The classifier of a finetuning, and the data that it was trained on.

    Raises:
        UserError: If the run has no network, or its data are gone or have changed.
    """
    if saved.stage != "finetune":
        raise UserError(f"{saved.run}: --gap needs the network of a finetuning, and this is a {saved.stage} run")
    judge = load_classifier(saved.run, device)
    samples, _ = load_samples(judge.config.data)
    refuse_changed(saved, samples, "leave out --gap")
    return judge, samples


def measure_gap(
    saved: Saved, judge: Classifier, samples: Samples, val: Scored, test: Scored | None, seed: int
) -> dict[str, Any]:
    """AUROC from training samples to new boards, and the likeliest causes of the fall.

    Args:
        saved: A finetuning.
        judge: Its classifier, see :func:`open_gap`.
        samples: What it was trained on.
        val: Its validation samples.
        test: Its test samples, if they are to be looked at.
        seed: Of the draw of training samples and of the resamples.
    """
    rows = samples.supervised("train")
    rows = rows[label_fraction_indices(samples.labels[rows], judge.config.fraction, judge.config.runtime.seed)]
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
    train = Part(
        predict(judge.model, samples, rows, judge.fabric), samples.labels[rows],
        samples.column("group", rows), samples.column("path", rows),
    )  # fmt: skip
    holdout = saved.split("holdout")
    parts = {"train": train} | {
        name: Part(each.scores, each.labels, each.groups, each.images)
        for name, each in {"holdout": holdout, "val": val, "test": test}.items()
        if each is not None and len(set(each.labels)) == 2
    }
    same_boards = parts.get("holdout")
    overfitting = auroc_gap(train, same_boards, seed=seed) if same_boards else None
    shifts = {
        name: auroc_gap(same_boards or train, parts[name], seed=seed) for name in ("val", "test") if name in parts
    }
    judged = list(shifts.values())[-1]
    sure = sure_errors(*_certainties(val, test))
    copies = _copied(samples, set((test or val).images), judge.config.data.max_pixels)
    return {
        "auroc": {name: float(roc_auc_score(part.labels, part.scores)) for name, part in parts.items()},
        "overfitting": None if overfitting is None else asdict(overfitting),
        "board_shift": {name: asdict(shift) for name, shift in shifts.items()},
        "shift_from": "holdout" if same_boards else "train", "surest": asdict(sure), "copied_images": copies,
        "causes": [name for name, _ in likeliest_causes(overfitting, judged, sure, copies)],
    }  # fmt: skip


def gap_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The same in words."""
    yield "AUROC " + ", ".join(f"{name} {value:.3f}" for name, value in found["auroc"].items())
    if found["overfitting"] is None:
        yield (
            "no labelled images of training boards were kept apart ('ssl-pcb data split --holdout'), so overfitting "
            "and board shift cannot be told apart"
        )
    else:
        yield f"overfitting (training images against others of their boards): {_fall(Gap(**found['overfitting']))}"
    known = "those" if found["overfitting"] else "training images"
    for name, shift in found["board_shift"].items():
        yield f"board shift ({known} against {SPLIT_WORDS[name]} boards): {_fall(Gap(**shift))}"
    sure = found["surest"]
    yield (
        f"label noise: where it is surest, {sure['errors']} of {sure['samples']} are labelled otherwise and "
        f"{sure['expected']:.1f} expected (p = {sure['p_value']:.2g})"
        + (f"; with as many wrong labels everywhere AUROC falls by {sure['fall']:.3f}" if sure["fall"] else "")
    )
    yield f"leakage: {found['copied_images']:.1%} of the judged images look like copies of training images"
    for number, cause in enumerate(found["causes"]):
        mixed = cause == "board shift" and found["shift_from"] == "train"
        name = "overfitting or board shift" if mixed else cause
        yield f"{'likeliest cause' if not number else 'then'}: {name}; {MENDS[cause]}"
    if not found["causes"]:
        yield "no cause stands out of the noise"


def _fall(gap: Gap) -> str:
    return f"AUROC falls by {gap.value:.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"


def _certainties(val: Scored, test: Scored | None) -> tuple[Any, Any]:
    """Probabilities by a calibration of other samples, and labels."""
    if test is None:
        return cross_fitted("platt", val.scores, val.labels, val.images), val.labels
    return fit_calibration("platt", val.scores, val.labels).probabilities(test.scores).values, test.labels


def _copied(samples: Samples, judged: set[str], max_pixels: int) -> float:
    """Share of the judged images that nearly equal some training image, turned or mirrored as may be."""
    frame = samples.manifest.frame
    training = set(frame["path"][frame["split"].eq("train")])
    bank, asked = (_hashes(samples, paths, max_pixels) for paths in (training, judged))
    if not (bank.size and asked.size):
        return 0.0
    distances = np.stack([nearest_bits(bank[0], bits, 1)[0][:, 0] for bits in asked])
    return int((distances.min(0) <= MAX_DISTANCE).sum()) / len(judged)


def _hashes(samples: Samples, paths: set[str], max_pixels: int) -> NDArray[np.uint8]:
    """:func:`hash_bits` (8, N, 32) of those of the image files that can be read."""

    def small(path: Path) -> NDArray[np.float32]:
        grey = decode(path, channels=1, bit_depth=samples.store.spec.bit_depth, max_pixels=max_pixels)[..., 0]
        picture: NDArray[np.float32] = reduced(grey[None].astype(np.float32), HASHED)[0]
        return picture

    found = map_files(small, [samples.manifest.root / path for path in sorted(paths)])
    pictures = [each for each in found if not isinstance(each, UserError)]
    return hash_bits(np.stack(pictures)) if pictures else np.empty((8, 0, 32), np.uint8)
