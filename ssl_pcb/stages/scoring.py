"""Scores of samples that a finished run did not judge itself."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.ledger import record_test_touch
from ssl_pcb.reports.saved import SAMPLE_COLUMNS, Saved, Scored, need_both_classes
from ssl_pcb.stages.finetune import predict
from ssl_pcb.stages.finetuned import load_classifier
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
        scored = _scored(saved, None, device)
    need_both_classes(scored, f"{saved.run}: split 'test'")
    data = saved.record["data"]
    record_test_touch(
        [saved.run / LEDGER, ledger],
        {
            "command": "evaluate", "run": str(saved.run), "data": data["manifest"],
            "data_fingerprint": data["fingerprint"], "split": "test", "boards": " ".join(sorted(set(scored.groups))),
            "samples": str(len(scored)), "auroc": f"{roc_auc_score(scored.labels, scored.scores):.4f}",
            "purpose": purpose,
        },
    )  # fmt: skip
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


def score_data(saved: Saved, data: Path, device: str) -> Scored:
    """Labelled samples of another manifest: those of split ``test``, or if it has none, those of no split.

    Raises:
        UserError: If there are none of both classes, or the run was trained on them.
    """
    scored = _scored(saved, data, device)
    need_both_classes(scored, str(data))
    return scored


def _scored(saved: Saved, data: Path | None, device: str) -> Scored:
    if saved.stage != "finetune":
        mend = "make it again with --test" if saved.stage == "linear-eval" and data is None else "evaluate a finetuning"
        raise UserError(f"{saved.run}: a {saved.stage} run has no network to score with; {mend}")
    judge = load_classifier(saved.run, device)
    samples, _ = load_samples(judge.config.data.model_copy(update={"manifest": data} if data else {}))
    rows = samples.rows("test", labelled=True)
    if data is None:
        refuse_changed(saved, samples, "name what to score with --data")
    else:
        rows = rows if len(rows) else samples.rows("", labelled=True)
        refuse_seen(saved.run, samples, rows)
    if not len(rows):
        raise UserError(f"{samples.name}: has no labelled samples of split 'test'{' or of no split' if data else ''}")
    log.info("scoring %d %ss of %s", len(rows), samples.unit, samples.name)
    frame = samples.manifest.frame.iloc[rows][list(SAMPLE_COLUMNS)]
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
