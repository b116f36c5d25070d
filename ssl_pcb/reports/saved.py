"""What a finished run predicted, read back and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.data.files import whole_file
from ssl_pcb.data.manifest import LABELS, UNTILED
from ssl_pcb.decision.thresholds import choose_threshold
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.balance import Balance, counted
from ssl_pcb.reports.run import read_run

SAMPLE_COLUMNS = ("path", "crop", "group", "split", "label", "types")
"""Columns of the manifest that predictions repeat, and :data:`~ssl_pcb.data.manifest.UNTILED` where it has them."""

COLUMNS = {"path", "group", "split", "label", "row", "score", "verdict"}
FILES = {
    "finetune": ("predictions.csv",),
    "crossval": ("predictions.csv",),
    "linear-eval": ("checkpoint_predictions.csv", "random_init_predictions.csv"),
}
"""Where each stage that evaluates saves its predictions; of several files the first that is there."""


@dataclass(frozen=True)
class Scored:
    """Labelled samples and what a model says of them.

    Attributes:
        frame: A row a sample: ``path``, ``crop``, ``group``, ``label``, ``types``, ``row``, ``score``, ``verdict``,
            and perhaps ``untiled_boxes``.
    """

    frame: pd.DataFrame

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,) higher = more likely Defective."""
        return self.frame["score"].to_numpy(np.float64)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) class indices."""
        return np.where(self.frame["label"].eq(LABELS[1]), 1, 0)

    @property
    def rows(self) -> NDArray[np.int64]:
        """(N,) manifest rows."""
        return self.frame["row"].to_numpy(np.int64)

    @property
    def unfamiliar(self) -> NDArray[np.bool_]:
        """(N,) whether it is unlike all training samples, as far as that was asked."""
        return self.frame.get("unfamiliar", pd.Series(False, self.frame.index)).to_numpy(bool)

    @property
    def called(self) -> NDArray[np.bool_]:
        """(N,) what the run itself calls Defective; of a cross-validation at the threshold of each fold."""
        return self.frame["verdict"].eq(LABELS[1]).to_numpy(bool)

    def counted(self, balance: Balance) -> Scored:
        """Those that a report counts, see :func:`ssl_pcb.evaluation.balance.counted`."""
        return Scored(self.frame.iloc[counted(self.labels, balance)].reset_index(drop=True))

    @property
    def groups(self) -> list[str]:
        """(N,) board names."""
        return self.frame["group"].tolist()

    @property
    def images(self) -> list[str]:
        """(N,) source images."""
        return self.frame["path"].tolist()

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Saved:
    """A finished run's predictions.

    Attributes:
        run: Its folder.
        record: Its ``run.json``.
        summary: Its ``summary.json``.
        frame: Its predictions, of all splits.
    """

    run: Path
    record: dict[str, Any]
    summary: dict[str, Any]
    frame: pd.DataFrame

    @property
    def stage(self) -> str:
        """That made the run."""
        return str(self.record["stage"])

    @property
    def unit(self) -> str:
        """What a sample is: ``tile`` or ``image``."""
        return str(self.summary["reports"]["val"]["unit"])

    @property
    def threshold(self) -> float:
        """The one with the best balanced accuracy on validation; of a cross-validation, on all its folds together."""
        if self.stage == "crossval":  # each fold has its own
            val = self.split("val")
            return choose_threshold(val.scores, val.labels, "balanced_accuracy")
        return float(self.summary["reports"]["val"]["threshold"])

    @property
    def marks(self) -> list[str]:
        """What must be said with every figure of it."""
        return list(self.summary["marks"])

    def split(self, name: str) -> Scored:
        """The samples of a split; there may be none."""
        return Scored(self.frame[self.frame["split"].eq(name)].reset_index(drop=True))


def read_saved(run: Path) -> Saved:
    """The predictions of the run in ``run``.

    Raises:
        UserError: If it is no finished run that evaluates, or its predictions are missing, damaged or no numbers.
    """
    record = read_run(run)
    if record.get("stage") not in FILES or record.get("status") != "finished":
        raise UserError(f"{run}: is no folder of a finished finetune, linear-eval or crossval run")
    file = next((run / name for name in FILES[record["stage"]] if (run / name).is_file()), None)
    if file is None:
        raise UserError(f"{run}: holds no predictions; make the run anew")
    try:
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        frame = read_predictions(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{run}: cannot be read ({str(error).splitlines()[0]}); make the run anew") from None
    saved = Saved(run, record, summary, _checked(frame, file))
    _refuse_damaged(saved)
    _refuse_others(saved, file)
    return saved


def sample_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """What predictions repeat of the manifest's rows in ``frame``."""
    return frame[[*SAMPLE_COLUMNS, *({UNTILED} & set(frame.columns))]]


def read_predictions(file: Path) -> pd.DataFrame:
    """A CSV of predictions; names of boards stay text, also those of digits."""
    return pd.read_csv(file, keep_default_na=False, dtype=dict.fromkeys((*SAMPLE_COLUMNS, UNTILED), str))


def refuse_other_data(first: Saved, second: Saved) -> None:
    """Refuse to compare predictions of two data sets.

    Raises:
        UserError: If images or labels differ.
    """
    prints = [run.record.get("data", {}).get("fingerprint") for run in (first, second)]
    if prints[0] != prints[1]:
        raise UserError(
            f"{second.run}: was judged on other data than {first.run} (other images, labels or splits); compare runs "
            "of one manifest"
        )


def _checked(frame: pd.DataFrame, file: Path) -> pd.DataFrame:
    missing = sorted(COLUMNS - set(frame.columns))
    if missing or not len(frame):
        raise UserError(f"{file}: has no {', '.join(missing) or 'rows'}; make the run anew")
    unknown = ~frame["label"].isin(LABELS)
    if unknown.any() or frame["row"].duplicated().any():
        first = int(np.argmax(unknown if unknown.any() else frame["row"].duplicated())) + 1
        what = f"a label that is not {' or '.join(LABELS)}" if unknown.any() else "a sample that stands there twice"
        raise UserError(f"{file}: row {first} has {what}; put the run's own predictions back, or make the run anew")
    scores = pd.to_numeric(frame["score"], errors="coerce")
    bad = ~np.isfinite(scores)
    if bad.any():
        raise UserError(
            f"{file}: {int(bad.sum())} of {len(frame)} scores are NaN or infinite (first: row "
            f"{int(np.argmax(bad)) + 1}); the model diverged: train it again with a lower learning rate"
        )
    if "types" not in frame:  # of a run made before they were saved
        frame = frame.assign(types="")
    return frame.assign(score=scores)


def _refuse_damaged(saved: Saved) -> None:
    """Refuse a run whose records lack what is read of them."""
    try:
        whole = isinstance(saved.record["data"]["fingerprint"], str) and saved.unit and np.isfinite(saved.threshold)
        whole = whole and {"manifest", "splits", "skipped"} <= saved.record["data"].keys() and saved.marks is not None
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise UserError(f"{saved.run}: its run.json or summary.json is damaged; make the run anew")


def _refuse_others(saved: Saved, file: Path) -> None:
    """Refuse predictions of another run's validation samples, or of some of its own."""
    of_data = saved.record["data"]["splits"].get("val")
    # Folds judge training boards too, and the record counts unreadable samples, which nothing judged.
    if saved.stage == "crossval" or of_data is None or saved.record["data"]["skipped"]:
        return
    held = saved.split("val").frame["label"].value_counts()
    counts = [f"{held.get(label, 0)} {label}" for label in LABELS]
    expected = [f"{of_data[label]} {label}" for label in LABELS]
    if counts != expected:
        raise UserError(
            f"{file}: holds {' and '.join(counts)} validation samples, and the run judged {' and '.join(expected)}; "
            "put its own predictions back, or make the run anew"
        )


def need_both_classes(scored: Scored, what: str) -> None:
    """Refuse samples of one class.

    Raises:
        UserError: Naming ``what`` and the class that is missing.
    """
    missing: Sequence[str] = [name for number, name in enumerate(LABELS) if not (scored.labels == number).any()]
    if missing:
        raise UserError(f"{what}: no sample is {' or '.join(missing)}; label some of both classes")


def save_table(table: pd.DataFrame, file: Path) -> None:
    """Write a CSV, whole or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    with whole_file(file) as part:
        table.to_csv(part, index=False, lineterminator="\n")
