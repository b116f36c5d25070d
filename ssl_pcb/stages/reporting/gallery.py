"""Samples of a run as a page shows them: pictures, boxes, heat maps, neighbours, and places on a map of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.data.samples import Samples
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.neighbours import nearest
from ssl_pcb.reports.page.pictures import heat_picture
from ssl_pcb.reports.saved import Scored
from ssl_pcb.stages.reporting.crops import boxes_of, pictures

WORST = 24
"""Misses, and false calls, that are told at length; and as many of what is caught, to compare."""
NEAREST, BANK = 5, 2000
"""Neighbours that are shown, and training samples that they are sought among."""
LEAST_MAPPED = 10
HEAT_SIDE = 160
"""Most pixels of a heat map's side."""

Heats = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Manifest rows (N,) to heat maps (N, S, S)."""
Features = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Manifest rows (N,) to features (N, D)."""


@dataclass
class Gallery:
    """Samples that a page shows.

    Attributes:
        samples: All of the run's data.
        rows: Manifest rows that are shown, neighbours last.
        facts: What else is known of some, by row: ``score``, ``fold``, ``xy``, ``near``, ``heat``.
    """

    samples: Samples
    rows: list[int]
    facts: dict[int, dict[str, Any]] = field(default_factory=dict)

    def know(self, row: int, **facts: Any) -> None:
        """Add facts of a row."""
        self.facts.setdefault(row, {}).update(facts)

    def heat(self, rows: NDArray[np.int64], heats: Heats) -> None:
        """Draw heat maps of some rows."""
        for row, heat in zip(rows.tolist(), heats(rows), strict=True):
            self.know(row, heat=heat_picture(heat, HEAT_SIDE))

    def place(self, features: Features, seed: int) -> None:
        """Put all rows on a map by t-SNE (van der Maaten and Hinton 2008), which keeps neighbours together.

        Of scikit-learn, which is here anyway: UMAP's package would bring a compiler of its own for a picture of some
        hundred points.
        """
        from sklearn.manifold import TSNE

        if len(self.rows) < LEAST_MAPPED:
            return
        found = features(np.array(self.rows))
        spread = min(30.0, (len(found) - 1) / 3)
        flat = TSNE(metric="cosine", init="pca", perplexity=spread, random_state=seed).fit_transform(found)
        low, high = flat.min(0), flat.max(0)
        for row, point in zip(self.rows, (flat - low) / np.maximum(high - low, 1e-9), strict=True):
            self.know(row, xy=[round(float(value), 4) for value in point])

    def find_neighbours(self, rows: NDArray[np.int64], features: Features, seed: int) -> None:
        """The nearest training samples of some rows, in the run's own features; these are shown too."""
        train = self.samples.rows("train")
        bank = np.sort(np.random.default_rng(seed).choice(train, min(BANK, len(train)), replace=False))
        if not len(bank) or not len(rows):
            return
        _, found = nearest(features(bank), features(rows), min(NEAREST, len(bank)))
        for row, near in zip(rows.tolist(), bank[found].tolist(), strict=True):
            self.know(row, near=near)
        self.rows += sorted(set(bank[found].ravel().tolist()) - set(self.rows))

    def entries(self, room: int) -> list[dict[str, Any]]:
        """For the page's code, in the order of :attr:`rows`; ``near`` are numbers in this list.

        Args:
            room: Characters that pictures may take.

        Raises:
            UserError: If a file cannot be read any more.
        """
        number = {row: place for place, row in enumerate(self.rows)}
        told = {row for row, known in self.facts.items() if {"heat", "near"} & known.keys()}
        found = pictures(self.samples, self.rows, told, room)
        entries = []
        for row in self.rows:
            known = self.facts.get(row, {})
            known = known | {"near": [number[each] for each in known.get("near", [])]}
            entries.append({"image": found[row], **self._told(row), **known})
        return entries

    def _told(self, row: int) -> dict[str, Any]:
        cells = self.samples.manifest.frame.iloc[row]
        told = {key: str(cells[key]) for key in ("path", "crop", "label", "split", "types")}
        return {"row": row, "board": str(cells["group"]), **told, "boxes": boxes_of(self.samples, row)}


def worst(scored: Scored, at: ThreeWay) -> dict[str, NDArray[np.int64]]:
    """Manifest rows of the worst ``misses`` and ``false_calls`` first, and of what is ``caught`` most narrowly."""
    scores, defective = scored.scores, scored.labels == 1
    verdicts, order = at.verdicts(scores), np.argsort(scores, kind="stable")
    ok, stopped = verdicts == "OK", verdicts == "NG"
    rows = scored.rows[order]
    return {
        "misses": rows[(defective & ok)[order]][:WORST],
        "false_calls": rows[(~defective & stopped)[order]][::-1][:WORST],
        "caught": rows[(defective & stopped)[order]][:WORST],
    }


def shown_rows(scored: Scored, told: Mapping[str, NDArray[np.int64]], count: int, seed: int) -> list[int]:
    """Those that are told, and others at random, ``count`` in all, as far as there are so many."""
    first = list(dict.fromkeys(row for rows in told.values() for row in rows.tolist()))
    others = np.random.default_rng(seed).permutation(np.setdiff1d(scored.rows, first)).tolist()
    return [*first, *others][: max(count, len(first))]


def check_places(scored: Scored, samples: Samples) -> bool:
    """Whether the predictions name the samples that the manifest has at their rows."""
    frame = samples.manifest.frame
    if scored.rows.max() >= len(frame):
        return False
    there = frame.iloc[scored.rows]
    places = [
        [(Path(path).name, crop) for path, crop in zip(each["path"], each["crop"], strict=True)]
        for each in (there, scored.frame)
    ]
    return places[0] == places[1]
