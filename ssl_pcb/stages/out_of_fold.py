"""The pooled predictions of a cross-validation, beside the data that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.config.supervised import CrossvalConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.stages.judging import PREDICTIONS
from ssl_pcb.training.checkpoint import FIRST_FOLD


@dataclass(frozen=True)
class OutOfFold:
    """What networks say of samples that they have not seen.

    Attributes:
        run: Folder of the cross-validation.
        config: Its config, with the data that it was read beside.
        samples: All samples of that data.
        rows: (N,) manifest rows that were judged, ascending: all labelled ones but the test boards'.
        probabilities: (N,) of Defective.
        folds: (N,) number of the fold whose network judged.
    """

    run: Path
    config: CrossvalConfig
    samples: Samples
    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    folds: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) class indices."""
        return self.samples.labels[self.rows]


def read_out_of_fold(run: Path, data: Path) -> OutOfFold:
    """Read the predictions of the finished cross-validation in ``run``, which must be of the manifest ``data``.

    Raises:
        UserError: If it is no such run, or was made on other images, labels or boards, or its predictions are damaged
            or hold values that are no numbers.
    """
    record = read_run(run)
    if record.get("status") != "finished" or record.get("stage") != "crossval":
        raise UserError(
            f"{run}: is no folder of a finished cross-validation; name one that 'ssl-pcb crossval' has made"
        )
    config = read_config(run, "crossval")
    assert isinstance(config, CrossvalConfig)
    samples, chosen = load_samples(config.data.model_copy(update={"manifest": data}))
    _refuse_other_data(record, run, samples)
    file = run / PREDICTIONS
    frame = _numbers(file).sort_values("row")
    rows = frame["row"].to_numpy(np.int64)
    labelled = samples.store.rows[samples.labels[samples.store.rows] >= 0]
    judged = labelled[samples.manifest.frame["split"].to_numpy()[labelled] != "test"]
    if not np.array_equal(rows, judged):
        raise UserError(
            f"{file}: does not hold one prediction of each labelled sample outside split 'test'; make the run anew"
        )
    return OutOfFold(
        run, config.model_copy(update={"data": chosen}), samples, rows, frame["probability"].to_numpy(),
        frame["fold"].to_numpy(np.int64),
    )  # fmt: skip


def _refuse_other_data(record: Mapping[str, Any], run: Path, samples: Samples) -> None:
    """Compare with what the first fold recorded, whose splits and groups the manifest does not have."""
    folds, frame = Manifest.read((run / FIRST_FOLD).with_suffix(".csv")).frame, samples.manifest.frame
    known = record.get("data", {})
    anew = f"make them anew with 'ssl-pcb crossval --data {samples.name}'"
    # A fingerprint does not mind the order of rows, but predictions name samples by it.
    if _places(folds) == _places(frame):
        frame = frame.assign(split=folds["split"], group=folds["group"])
        judged = replace(samples, manifest=Manifest(frame, samples.manifest.root))
        if judged.fingerprint(labels=True) == known.get("fingerprint"):
            return
        if judged.fingerprint(labels=False) == known.get("images_fingerprint"):
            raise UserError(f"{run}: its predictions are of other labels than those of {samples.name}; {anew}")
    raise UserError(f"{run}: its predictions are of another data set than {samples.name}; {anew}")


def _places(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """File and crop of each row; the file without its folder, which may be written from elsewhere."""
    return [(path.rpartition("/")[2], crop) for path, crop in zip(frame["path"], frame["crop"], strict=True)]


def _numbers(file: Path) -> pd.DataFrame:
    """The columns of ``file`` that are used, as numbers."""
    try:
        frame = pd.read_csv(file, keep_default_na=False, dtype=str)[["row", "fold", "score", "probability"]]
        found = pd.DataFrame({name: pd.to_numeric(frame[name], errors="coerce") for name in frame})
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{file}: is no table of predictions ({str(error).splitlines()[0]}); make the run anew"
        ) from None
    bad = ~(np.isfinite(found.to_numpy(float)).all(axis=1) & found["probability"].between(0, 1).to_numpy())
    if bad.any():
        raise UserError(
            f"{file}: {bad.sum()} of {len(found)} predictions are NaN or infinite (or no probability from 0 to 1), "
            f"the first in line {int(np.argmax(bad)) + 2}; make the run anew, with a lower optimizer.lr if it diverged"
        )
    return found
