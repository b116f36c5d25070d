"""Whether a run's predictions are still judged by the labels that its samples have today."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.synthetic.embedded import EMBEDDED
from ssl_pcb.errors import UserError
from ssl_pcb.reports.run import read_config
from ssl_pcb.reports.saved import Saved

log = logging.getLogger(__name__)


def refuse_relabelled(saved: Saved, data: Path | None, *, takes_data: bool = True) -> None:
    """Refuse predictions whose samples are labelled otherwise today; they would be counted by the old labels.

    Args:
        saved: The run's predictions.
        data: Another manifest that is reported on: then only the threshold was chosen by the old labels, which is said.
        takes_data: Whether the command can report on another manifest.

    Raises:
        UserError: With what to do about it.
    """
    name = _manifest(saved)
    if name is None:
        return
    if not name.is_file():
        log.warning("%s: is not here, so whether its labels are still those of %s is not known", name, saved.run)
        return
    changed = relabelled(saved, Manifest.read(name))
    if data is None and changed.any():
        others = (
            ", or name with --data what to judge by the labels of today"
            if takes_data and saved.stage == "finetune"
            else ""
        )
        raise UserError(
            f"{name}: {changed.sum():,} of the {len(changed):,} samples that {saved.run} judged are labelled otherwise "
            f"today, or gone; make the run anew{others}"
        )
    chose = saved.frame["split"].eq("val").to_numpy()
    if changed[chose].any():
        log.warning(
            "%s: %d of the %d validation samples that choose the threshold are labelled otherwise today, or gone; it "
            "is chosen by their old labels", name, changed[chose].sum(), chose.sum(),
        )  # fmt: skip


def relabelled(saved: Saved, manifest: Manifest) -> NDArray[np.bool_]:
    """(N,) whether no sample of ``manifest`` is the predicted one with its label; rows may have moved."""
    place = [column for column in ("path", "crop") if column in saved.frame]  # runs of old have no crop
    today = defaultdict(set)
    for path, *crop, label in manifest.frame[[*place, "label"]].itertuples(index=False):
        today[_file(manifest, path), *crop].add(label)
    judged = saved.frame[[*place, "label"]].itertuples(index=False)
    return np.array([label not in today[_file(manifest, path), *crop] for path, *crop, label in judged], bool)


def _manifest(saved: Saved) -> Path | None:
    """The run's manifest; ``None`` = the embedded boards, which do not change."""
    if saved.stage == "crossval":  # its record names that of its first fold
        return read_config(saved.run, saved.stage).data.manifest
    name = saved.record["data"]["manifest"]
    return None if name == EMBEDDED else Path(name)


def _file(manifest: Manifest, path: str) -> str:
    """One spelling for each file."""
    return os.path.normpath(manifest.root / path)
