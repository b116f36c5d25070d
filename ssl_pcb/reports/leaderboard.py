"""The leaderboard of a sweep: a row an entry, over its seeds, beside the baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ssl_pcb.data.manifest import LABELS
from ssl_pcb.evaluation.balance import Balance, counted
from ssl_pcb.evaluation.metrics import AT_ESCAPE
from ssl_pcb.evaluation.paired import Ranking, paired_difference
from ssl_pcb.reports.run import METRICS, read_run
from ssl_pcb.reports.saved import FILES, read_predictions

MEASURES = ("auroc", "average_precision", *AT_ESCAPE)
COMPARED: tuple[Ranking, ...] = ("auroc", "average_precision")
ENDS = ("", "_low", "_high", "_seeds_low", "_seeds_high")
RANKED_BY = "average_precision"
SAMPLE = ["image", "row", "crop", "label"]
"""What two tables of predictions must agree in to be compared. Of paths, which may be written from different folders,
it is the last part."""


class Made(NamedTuple):
    """A run of a sweep.

    Attributes:
        entry: Row that it belongs to.
        asks: What that asks.
        against: Entry that it is compared with; empty = the first one.
        stage: Name of its stage.
        seed: Its seed.
        folder: Its run folder.
        status: How it ended.
        before: Run folder of the pretraining that it started from, if that is the sweep's too.
    """

    entry: str
    asks: str
    against: str
    stage: str
    seed: int
    folder: Path
    status: str
    before: Path | None = None


def leaderboard(runs: Sequence[Made]) -> pd.DataFrame:
    """One row an entry, best first by :data:`RANKED_BY`; diverged and failed runs are never ranked.

    Ranks mean something among entries of one number in ``judged_on``, which were judged on the same samples; the table
    has them together.

    ``X_low`` and ``X_high`` are the 95 % interval of the mean over seeds (Student's t; none with one seed).
    ``X_difference`` is to the entry ``against``, on the seeds that both finished, with its paired bootstrap interval
    over boards or source images; empty where the two were not judged on the same samples. ``X_difference_seeds_low``
    and ``_high`` are the interval over those seeds (paired t: runs of one seed share samples, and perhaps a
    pretraining; none with one seed). ``difference_is`` says whether both keep from 0: ``more``, ``less``, or ``within
    the noise``; with one seed it says that, for what another seed would change is not known then.
    """
    entries = list(dict.fromkeys(run.entry for run in runs))
    judged = {entry: _Judged.of([run for run in runs if run.entry == entry]) for entry in entries}
    rows = []
    for found in judged.values():
        against = found.runs[0].against or entries[0]
        rows.append(found.row() | {"against": against} | found.beside(judged[against]))
    table = pd.DataFrame(rows).assign(judged_on=_numbers([found.samples for found in judged.values()]))
    order = table.sort_values(["judged_on", RANKED_BY], ascending=[True, False], na_position="last", kind="stable")
    return order.reset_index(drop=True)


def _numbers(judged: Sequence[frozenset[tuple[str, ...]]]) -> list[float]:
    """The same number, from 1, for the same samples; none for no samples."""
    known = list(dict.fromkeys(samples for samples in judged if samples))
    return [known.index(samples) + 1 if samples else np.nan for samples in judged]


class _Judged:
    """What the finished runs of one entry found."""

    def __init__(self, runs: Sequence[Made], summaries: list[dict[str, Any]], tables: list[pd.DataFrame]) -> None:
        self.runs, self.summaries, self.tables = runs, summaries, tables

    @classmethod
    def of(cls, runs: Sequence[Made]) -> _Judged:
        finished = [run for run in runs if run.status == "finished"]
        summaries = [json.loads((run.folder / "summary.json").read_text(encoding="utf-8")) for run in finished]
        balances = [summary["reports"]["val"]["balance"] for summary in summaries]
        return cls(runs, summaries, [_counted(*each) for each in zip(finished, balances, strict=True)])

    def row(self) -> dict[str, Any]:
        states = [run.status for run in self.runs]
        report = self.summaries[0]["reports"]["val"] if self.summaries else {}
        return {
            "entry": self.runs[0].entry, "stage": self.runs[0].stage, "finished": states.count("finished"),
            "diverged": states.count("diverged"),
            "failed": sum(state not in ("finished", "diverged") for state in states),
            **{key: value for name in MEASURES for key, value in self._over_seeds(name).items()},
            "samples": report.get("n"), "defective": report.get("n_defective"), "unit": report.get("unit"),
            "balance": report.get("balance"), **self._costs(), "asks": self.runs[0].asks,
        }  # fmt: skip

    def _values(self, name: str) -> list[float]:
        return [summary["reports"]["val"]["metrics"][name]["value"] for summary in self.summaries]

    def _over_seeds(self, name: str) -> dict[str, float]:
        values = self._values(name)
        mean, low, high = float(np.mean(values)) if values else np.nan, np.nan, np.nan
        if len(values) > 1:
            reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
            low, high = mean - reach, mean + reach
        return {name: mean, f"{name}_low": low, f"{name}_high": high}

    def _costs(self) -> dict[str, float]:
        records = [read_run(run.folder) for run in self.runs if run.status == "finished"]
        memory = [size for record in records for size in record["peak_memory"].values() if size]
        before = [
            read_run(run.before)["seconds"] for run in self.runs if run.before is not None and run.status == "finished"
        ]
        epochs = [seconds for run in self.runs if run.status == "finished" for seconds in _epoch_seconds(run)]
        return {
            "parameters": records[0]["parameters"] if records else np.nan,
            "seconds_per_epoch": float(np.median(epochs)) if epochs else np.nan,
            "peak_memory_mib": max(memory, default=np.nan),
            "seconds": float(np.mean([record["seconds"] for record in records])) if records else np.nan,
            "pretraining_seconds": float(np.mean(before)) if before else np.nan,
        }

    @property
    def seeds(self) -> list[int]:
        """Of the finished runs, in their order."""
        return [run.seed for run in self.runs if run.status == "finished"]

    def only(self, seeds: set[int]) -> _Judged:
        """The same of ``seeds`` alone, by seed."""
        kept = sorted((seed, number) for number, seed in enumerate(self.seeds) if seed in seeds)
        finished = [run for run in self.runs if run.status == "finished"]
        return _Judged(
            [finished[i] for _, i in kept], [self.summaries[i] for _, i in kept], [self.tables[i] for _, i in kept]
        )

    def scores(self, samples: pd.DataFrame) -> NDArray[np.float64]:
        """(seeds, N) scores of ``samples``."""
        return np.stack([samples.merge(table, on=SAMPLE, how="left")["score"].to_numpy() for table in self.tables])

    def beside(self, base: _Judged) -> dict[str, Any]:
        found: dict[str, Any] = {}
        common = set(self.seeds) & set(base.seeds)
        ours, theirs = self.only(common), base.only(common)
        comparable = self is not base and ours.samples == theirs.samples != frozenset()
        for name in COMPARED:
            ends = ours._difference(theirs, name) if comparable else [np.nan] * len(ENDS)
            found |= {f"{name}_difference{end}": value for end, value in zip(ENDS, ends, strict=True)}
        return found | {"difference_is": difference_is([found[f"{RANKED_BY}_difference{end}"] for end in ENDS])}

    def _difference(self, base: _Judged, name: Ranking) -> list[float]:
        samples = base.tables[0]
        labels = np.where(samples["label"].eq(LABELS[1]), 1, 0)
        over_images = paired_difference(
            self.scores(samples[SAMPLE]), base.scores(samples[SAMPLE]), labels,
            samples["group"].tolist(), samples["path"].tolist(), name,
        )  # fmt: skip
        ends = [over_images.value, over_images.low, over_images.high]
        ours, theirs = self._values(name), base._values(name)
        if len(ours) < 2:
            return [*ends, np.nan, np.nan]
        return [*ends, *map(float, stats.ttest_rel(ours, theirs).confidence_interval(0.95))]

    @property
    def samples(self) -> frozenset[tuple[str, ...]]:
        """What all runs of the entry were judged on; empty if they differ."""
        judged = {frozenset(map(tuple, table[SAMPLE].astype(str).to_numpy())) for table in self.tables}
        return judged.pop() if len(judged) == 1 else frozenset()


def difference_is(ends: Sequence[float]) -> str | None:
    """``more``, ``less``, ``within the noise``, ``one seed``, or ``None`` where there is no difference.

    Args:
        ends: The difference, its interval over images, and that over seeds, as in :data:`ENDS`.
    """
    if np.isnan(ends[0]):
        return None
    if np.isnan(ends).any():
        return "one seed"
    if min(ends[1:]) > 0:
        return "more"
    return "less" if max(ends[1:]) < 0 else "within the noise"


def _counted(run: Made, balance: Balance) -> pd.DataFrame:
    """The predictions that its report counts."""
    table = _predictions(run)
    labels = np.where(table["label"].eq(LABELS[1]), 1, 0)
    images = table["path"].map(lambda path: PurePosixPath(path).name)
    return table.assign(image=images).iloc[counted(labels, balance)].reset_index(drop=True)


def _predictions(run: Made) -> pd.DataFrame:
    """Scores of what judged it."""
    file = next(run.folder / name for name in FILES[run.stage] if (run.folder / name).is_file())
    table = read_predictions(file)
    return table[table["split"].eq("val")].reset_index(drop=True)


def _epoch_seconds(run: Made) -> list[float]:
    folders = [run.folder] if run.stage == "finetune" else [*run.folder.glob("fold-*[0-9]/")]
    lines = [line for folder in folders for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()]
    return [row["seconds"] for row in map(json.loads, lines) if "seconds" in row]
