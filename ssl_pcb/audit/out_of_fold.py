"""Scores of the label from a cue alone, each from samples of other boards."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.data.splits import units_together
from ssl_pcb.errors import UserError

SMOOTHING = 10.0
"""Samples, half of either class, that are added to each category: rare ones say little."""


@dataclass(frozen=True)
class Folds:
    """Which samples judge together.

    Attributes:
        of: (N,) fold of each sample.
        count: Number of folds.
        disjoint: What never stands on both sides.
        why: Why that are not boards; empty where they are.
    """

    of: NDArray[np.int64]
    count: int
    disjoint: Literal["board", "image"]
    why: str = ""


def make_folds(manifest: Manifest, name: str, folds: int, seed: int) -> Folds:
    """Folds that share no board, or no image where boards are not known or hold one label each too seldom.

    Args:
        manifest: Labelled samples.
        name: What messages call it.
        folds: Most folds; fewer where a label has fewer boards.
        seed: Decides among equally good folds.

    Raises:
        UserError: If a label has fewer than two images.
    """
    labels = manifest.frame["label"]
    why = "" if manifest.board_disjoint else "the manifest names no real boards"
    boards = min(_of_either(manifest.frame["group"], labels).values())
    if not why and boards < 2:
        why = f"{boards} board has samples of one of the labels"
    groups = units_together(manifest.frame) if why else manifest.frame["group"]
    counts = _of_either(groups, labels)
    rarer, fewest = min(counts.items(), key=lambda item: item[1])
    if fewest < 2:
        raise UserError(
            f"{name}: {fewest} image (or cluster of near-duplicates) outside split 'test' is {rarer}; an audit of "
            "shortcuts needs two with either label at least"
        )
    count, found = min(folds, fewest), np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():  # of few samples of a class, which the intervals tell better
        warnings.simplefilter("ignore", UserWarning)
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        for fold, (_, judged) in enumerate(splitter.split(labels, labels, groups)):
            found[judged] = fold
    return Folds(found, count, "image" if why else "board", why)


def out_of_fold(values: pd.DataFrame, labels: NDArray[np.int64], folds: Folds, seed: int) -> NDArray[np.float64]:
    """Log-odds (N,) of Defective, with both classes taken as equally frequent, from a model of the other folds.

    Of one column of text that is the smoothed rate of its category; of anything else gradient-boosted trees, which need
    no direction. That both classes count alike makes scores of folds with many and with few defects comparable: a cue
    that tells nothing has the same score in all.

    Args:
        values: (N, D) numbers or text.
        labels: (N,) in {0, 1}.
        folds: Of the samples.
        seed: Seed of the trees.
    """
    scores = np.zeros(len(labels))
    if (values.nunique() == 1).all():
        return scores
    texts = [not pd.api.types.is_numeric_dtype(values[name]) for name in values]
    rates, columns = texts == [True], values.to_numpy()
    for fold in range(folds.count):
        judged = folds.of == fold
        told = labels[~judged]
        if len(np.unique(told)) < 2:  # there is nothing to learn, and 0 says so
            continue
        if rates:
            scores[judged] = _rates(columns[~judged, 0], told, columns[judged, 0])
        else:
            model = _trees(np.flatnonzero(texts), len(told), seed)
            scores[judged] = model.fit(columns[~judged], told).decision_function(columns[judged])
    # What differs in later digits only comes from the order of additions.
    return scores.round(3)


def _rates(known: NDArray[Any], labels: NDArray[np.int64], asked: NDArray[Any]) -> NDArray[np.float64]:
    """Log-odds of Defective in each category; 0 for one that is not known."""
    weights = np.where(labels, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    table = pd.DataFrame({"all": weights, "defective": weights * labels}).groupby(known).sum()
    rates: pd.Series[float] = (table["defective"] + SMOOTHING / 2) / (table["all"] + SMOOTHING)
    odds = rates / (1 - rates)
    return np.log(odds.reindex(asked).fillna(1.0).to_numpy(np.float64))


def _trees(texts: NDArray[np.intp], samples: int, seed: int) -> Pipeline | HistGradientBoostingClassifier:
    """Boosted trees; columns ``texts`` become numbers first, and then the first columns."""
    trees = HistGradientBoostingClassifier(
        learning_rate=0.3, max_iter=30, max_leaf_nodes=8, min_samples_leaf=max(2, min(20, samples // 20)),
        categorical_features=list(range(len(texts))), class_weight="balanced", early_stopping=False, random_state=seed,
    )  # fmt: skip
    if not len(texts):
        return trees
    numbers = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=200)
    return make_pipeline(make_column_transformer((numbers, texts), remainder="passthrough"), trees)


def _of_either(groups: pd.Series[str], labels: pd.Series[str]) -> dict[str, int]:
    """How many groups have samples of a label."""
    return {label: groups[labels.eq(label)].nunique() for label in LABELS}
