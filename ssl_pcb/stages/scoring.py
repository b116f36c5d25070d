"""Scores of samples that a finished run did not judge itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.ledger import record_test_touch
from ssl_pcb.reports.saved import Saved, Scored, need_both_classes, sample_columns
from ssl_pcb.stages.finetune import predict
from ssl_pcb.stages.finetuned import Classifier, load_classifier
from ssl_pcb.stages.judging import LEDGER
from ssl_pcb.stages.weights import trained_on
from ssl_pcb.training.checkpoint import weights_file
from ssl_pcb.training.lineage import TrainedOn, find_leak

log = logging.getLogger(__name__)


def score_test(saved: Saved, device: str, ledger: Path, purpose: str) -> Scored:
    """The test split of the run's data, scored now if it was not; the look is in the ledger before it is told.

    Args:
        saved: The run's predictions.
        device: Where to score: ``auto``, ``cpu`` or ``cuda``.
        ledger: The project's record of looks at test splits.
        purpose: What the ledger says of this look.

    Raises:
        UserError: If there are no labelled test samples of both classes, or the run cannot score them.
    """
    scored = saved.split("test")
    if not len(scored):
        judge, samples = _opened(saved, None, device)
        refuse_changed(saved, samples, "name what to score with --data")
        scored = _scored(judge, samples, samples.rows("test", labelled=True), "split 'test'")
    need_both_classes(scored, f"{saved.run}: split 'test'")
    record_look(saved, scored.groups, saved.record["data"], ledger, purpose, auroc=_auroc(scored))
    return scored


def kept_apart(saved: Saved) -> Scored:
    """What the run predicted of the images of training boards that nothing was trained on or chosen by.

    Raises:
        UserError: If there are none of both classes.
    """
    scored = saved.split("holdout")
    if not len(scored):
        raise UserError(
            f"{saved.run}: has judged no images of training boards that were kept apart; keep some with 'ssl-pcb data "
            "split --holdout', and make the run anew"
        )
    need_both_classes(scored, f"{saved.run}: split 'holdout'")
    return scored


def score_data(saved: Saved, data: Path, device: str, ledger: Path, purpose: str) -> Scored:
    """Labelled samples of another manifest: those of split ``test``, or if it has none, those of no split.

    A look at a test split, or at images of the run's own, or perhaps its own, is in the ledgers before it is told.

    Args:
        saved: The run's predictions.
        data: The manifest.
        device: Where to score: ``auto``, ``cpu`` or ``cuda``.
        ledger: The project's record of looks at test splits.
        purpose: What the ledger says of this look.

    Raises:
        UserError: If there are none of both classes, or the run was trained on them or chosen by them.
    """
    judge, samples = _opened(saved, data, device)
    _refuse_other_unit(saved, samples)
    rows, is_test = rows_apart(saved, judge, samples, labelled=True)
    _refuse_other_size(saved, samples, rows)
    scored = _scored(judge, samples, rows, "split 'test' or of no split")
    need_both_classes(scored, str(data))
    if is_test:
        record_look(saved, scored.groups, samples.describe(), ledger, purpose, auroc=_auroc(scored))
    return scored


def rows_apart(saved: Saved, judge: Classifier, samples: Samples, *, labelled: bool) -> tuple[NDArray[np.int64], bool]:
    """Rows (N,) of another manifest's split ``test``, or if it has none, of no split; and whether the ledger is due.

    It is for a test split, and for images that are of the run's own, or may be.

    Args:
        saved: The run.
        judge: Its classifier.
        samples: Of the manifest.
        labelled: Labelled rows alone.

    Raises:
        UserError: If the run was trained on their images or boards, or was chosen by them.
    """
    of_test = samples.rows("test", labelled=labelled)
    rows = of_test if len(of_test) else samples.rows("", labelled=labelled)
    refuse_seen(saved.run, samples, rows)
    own, images = _own_images(saved, judge), samples.store.digests(rows)
    if own and (chose := sum(image in own["val"] for image in images)):
        raise UserError(
            f"{samples.name}: {chose:,} of the {len(rows):,} samples are of images that chose the threshold of "
            f"{saved.run}; judge it on others, or leave out --data"
        )
    return rows, bool(len(of_test)) or own is None or not own["test"].isdisjoint(images)


def _refuse_other_unit(saved: Saved, samples: Samples) -> None:
    """Refuse whole images for a run on tiles, and the other way round: its rates would be of another unit."""
    if samples.unit != saved.unit:
        mend = (
            "--panels cuts them into windows, or cut them with 'ssl-pcb data import --tile'"
            if saved.unit == "tile"
            else "name a manifest of whole images"
        )
        raise UserError(f"{samples.name}: holds {samples.unit}s, and {saved.run} judges {saved.unit}s; {mend}")


def _refuse_other_size(saved: Saved, samples: Samples, rows: NDArray[np.int64]) -> None:
    """Refuse samples (N,) far smaller or larger than those of training, as ``predict`` does."""
    least, most = (saved.record["data"].get(side) for side in ("least_side", "most_side"))
    sides = samples.sides(rows)
    if least is None or most is None or not len(sides):  # runs of earlier versions do not say
        return
    if sides.min() < least / 2 or sides.max() > 2 * most:
        raise UserError(
            f"{samples.name}: has {samples.unit}s of {sides.min():g} to {sides.max():g} px on a side, and those that "
            f"{saved.run} was trained on have {least} to {most} px; brought to their size, a defect is no longer what "
            "it learnt"
        )


def _own_images(saved: Saved, judge: Classifier) -> dict[str, set[str]] | None:
    """Content hashes of the run's own validation and test images; ``None`` if they are gone, or others now."""
    try:
        samples, _ = load_samples(judge.config.data)
        known = samples.fingerprint(labels=False) == saved.record["data"].get("images_fingerprint")
    except UserError:
        known = False
    if not known:
        log.warning(
            "the images of %s are gone or have changed, so whether these samples chose its threshold or are its test "
            "samples is not known; the look is recorded", saved.run,
        )  # fmt: skip
        return None
    return {split: set(samples.store.digests(samples.rows(split))) for split in ("val", "test")}


def record_look(
    saved: Saved, boards: Sequence[str], data: Mapping[str, Any], ledger: Path, purpose: str, *, auroc: str
) -> None:
    """Write a look at test samples into the ledgers of the run and the project.

    Args:
        saved: The run.
        boards: (N,) of the samples.
        data: What they are of, as a run's record says it.
        ledger: The project's.
        purpose: What the look is for.
        auroc: What was seen; may be empty.

    Raises:
        UserError: If a ledger cannot be written.
    """
    record_test_touch(
        [saved.run / LEDGER, ledger],
        {
            "command": "evaluate", "run": str(saved.run), "data": data["manifest"],
            "data_fingerprint": data["fingerprint"], "split": "test", "boards": " ".join(sorted(set(boards))),
            "samples": str(len(boards)), "auroc": auroc, "purpose": purpose,
        },
    )  # fmt: skip


def _auroc(scored: Scored) -> str:
    return f"{roc_auc_score(scored.labels, scored.scores):.4f}"


def _opened(saved: Saved, data: Path | None, device: str) -> tuple[Classifier, Samples]:
    if saved.stage != "finetune":
        mend = "make it again with --test" if saved.stage == "linear-eval" and data is None else "evaluate a finetuning"
        raise UserError(f"{saved.run}: a {saved.stage} run has no network to score with; {mend}")
    judge = load_classifier(saved.run, device)
    return judge, load_samples(judge.config.data.model_copy(update={"manifest": data} if data else {}))[0]


def _scored(judge: Classifier, samples: Samples, rows: NDArray[np.int64], of: str) -> Scored:
    if not len(rows):
        raise UserError(f"{samples.name}: has no labelled samples of {of}")
    log.info("scoring %d %ss of %s", len(rows), samples.unit, samples.name)
    frame = sample_columns(samples.manifest.frame.iloc[rows])
    return Scored(
        frame.assign(row=rows, score=predict(judge.model, samples, rows, judge.fabric)).reset_index(drop=True)
    )


def refuse_changed(saved: Saved, samples: Samples, mend: str) -> None:
    """Refuse the run's own data where they are no longer what they were: its rows would name other samples.

    Raises:
        UserError: With what to do about it.
    """
    if samples.describe()["fingerprint"] != saved.record["data"]["fingerprint"]:
        raise UserError(f"{samples.name}: has changed since {saved.run} was made; {mend}")


def refuse_seen(run: Path, samples: Samples, rows: NDArray[np.int64]) -> None:
    """Refuse to judge a run on samples (N,) of another manifest whose images or boards it was trained on.

    Raises:
        UserError: Naming them.
    """
    seen = TrainedOn.read(weights_file(run))
    leak = find_leak(seen, trained_on(samples, rows)) if seen else None
    if leak:
        raise UserError(f"{run}: was {leak.replace('validation or test', 'to be judged')}; judge it on others")
