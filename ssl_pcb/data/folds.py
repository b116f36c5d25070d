"""Folds for cross-validation: stratified, and no board (or no image) on both sides."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from ssl_pcb.data.manifest import LABELS, PSEUDO_GROUP, Manifest
from ssl_pcb.data.splits import units_together
from ssl_pcb.errors import UserError


def fold_manifests(
    manifest: Manifest, name: str, folds: int, disjoint: Literal["board", "image"], seed: int
) -> list[Manifest]:
    """The manifest once a fold: that fold's samples in split ``val``, all others to learn from in ``train``.

    Every labelled sample that is not of split ``test`` judges once. Unlabelled ones of a fold's training boards stand
    in ``train`` too, for self-supervision; the rest has no split, and ``test`` keeps its own, so that nothing of these
    boards passes for free.

    Args:
        manifest: Rows with groups.
        name: What messages call it.
        folds: Number of folds.
        disjoint: What never stands on both sides. With ``image``, the images (and those of one ``place``) become
            stand-in groups, so that nothing that is made of them passes for board-disjoint.
        seed: Decides among equally good folds.

    Raises:
        UserError: If samples have no group, or a fold lacks a class.
    """
    frame = manifest.frame
    if disjoint == "image":
        units = units_together(frame)
        frame = frame.assign(group=units.where(units.str.startswith(PSEUDO_GROUP), PSEUDO_GROUP + units))
    if frame["group"].eq("").any():
        row = frame["group"].tolist().index("") + 1
        raise UserError(
            f"{name}: row {row} has no group; import with --group-from, so that folds can be by board, or set "
            "disjoint=image"
        )
    pool = frame["label"].ne("") & frame["split"].ne("test")
    fold_of = _fold_of(frame[pool], name, folds, disjoint, seed)
    test = set(frame["group"][frame["split"].eq("test")])
    parts = []
    for fold in range(folds):
        judged = pool & fold_of.reindex(frame.index).eq(fold)
        away = test | set(frame["group"][judged])
        learned = pool & ~judged | (frame["label"].eq("") & frame["split"].ne("") & ~frame["group"].isin(away))
        split = np.select([judged, learned, frame["split"].eq("test")], ["val", "train", "test"], "")
        parts.append(Manifest.build(frame.assign(split=split), manifest.root, name))
    return parts


def _fold_of(
    pool: pd.DataFrame, name: str, folds: int, disjoint: Literal["board", "image"], seed: int
) -> pd.Series[int]:
    groups, labels = pool["group"], pool["label"]
    fewest = min(groups[labels.eq(label)].nunique() for label in LABELS)
    if fewest < folds:
        raise UserError(
            f"{name}: {folds} folds need as many {disjoint}s with either label outside the test split, and there are "
            f"{fewest}; take fewer --folds{', or set disjoint=image' if disjoint == 'board' else ''}"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    found = pd.Series(-1, pool.index)
    with warnings.catch_warnings():  # of few samples of a class: it is said below where it matters
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, judged) in enumerate(splitter.split(pool, labels, groups)):
            found.iloc[judged] = fold
    for fold in range(folds):
        lacking = set(LABELS) - set(labels[found.eq(fold)])
        if lacking:
            raise UserError(
                f"{name}: fold {fold + 1} of {folds} has no {lacking.pop()} samples; take fewer --folds, or another "
                "--seed"
            )
    return found
