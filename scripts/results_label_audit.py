"""Plant wrong labels, and add what ``ssl-pcb audit labels`` makes of them to results/label_audit.csv and its table.

python scripts/results_label_audit.py plant MANIFEST CLEAN_RUN KIND RATE SEED OUT
python scripts/results_label_audit.py measure RUNS

KIND is ``random``, or ``boundary``: the samples that CLEAN_RUN, a cross-validation before anything was planted,
scores nearest to its threshold. Samples of split test keep their labels and are not looked at. RUNS holds what
scripts/run_label_audit.sh makes. A row that was measured before stays until it is measured again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from results_cells import over_seeds
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from ssl_pcb.audit.labels import LabelQuality
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.label_ranking import rank_labels
from ssl_pcb.stages.out_of_fold import read_out_of_fold

RESULTS = Path("results")
RUN = re.compile(r"(?P<start>[a-z]+)-(?P<size>\d+)-(?P<kind>random|boundary)-(?P<rate>[\d.]+)-(?P<seed>\d+)")
KEYS = ["start", "size", "space", "ranking", "kind", "rate", "seed"]
TRUTH = "label_planted_over"
"""Column of the manifest that keeps the labels from before."""
OURS = "weighted by log loss (what the audit does)"


@click.group()
def main() -> None:
    pass


@main.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.argument("clean", type=click.Path(path_type=Path))
@click.argument("kind", type=click.Choice(["random", "boundary"]))
@click.argument("rate", type=click.FloatRange(0, 1))
@click.argument("seed", type=int)
@click.argument("out", type=click.Path(path_type=Path))
def plant(manifest: Path, clean: Path, kind: str, rate: float, seed: int, out: Path) -> None:
    table = Manifest.read(manifest)
    judged = pd.read_csv(clean / "predictions.csv", keep_default_na=False)
    count = round(rate * len(judged))
    if kind == "random":
        chosen = np.random.default_rng(seed).choice(judged["row"], count, replace=False)
    else:
        distance = (judged["score"] - judged["threshold"]).abs()
        chosen = judged["row"].to_numpy()[np.argsort(distance, kind="stable")[:count]]
    frame = table.frame.assign(**{TRUTH: table.frame["label"]})
    frame.loc[chosen, "label"] = frame.loc[chosen, "label"].map(dict(zip(LABELS, LABELS[::-1], strict=True)))
    Manifest.build(frame, table.root, str(manifest)).write(out)
    print(f"{count} of {len(judged)} labels turned over in {out}")


@main.command()
@click.argument("runs", type=click.Path(path_type=Path))
def measure(runs: Path) -> None:
    fresh = pd.DataFrame(row for folder in sorted(runs.iterdir()) for row in measured(folder))
    file = RESULTS / "label_audit.csv"
    known = [pd.read_csv(file)] if file.exists() else []
    frame = pd.concat([*known, fresh]).drop_duplicates(KEYS, keep="last").sort_values(KEYS)
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(file, index=False, float_format="%.4f", lineterminator="\n")
    text = "\n".join(markdown(frame)) + "\n"
    (RESULTS / "label_audit.md").write_text(text, encoding="utf-8")
    print(text)


def measured(folder: Path) -> Iterator[dict[str, Any]]:
    """A row a ranking of the finished cross-validation in ``folder``, of each space in which neighbours are sought."""
    named, record = RUN.fullmatch(folder.name), read_run(folder)
    if named is None or record.get("status") != "finished":
        return
    judged = read_out_of_fold(folder, folder.parent / f"{folder.name}.csv")
    truth = judged.samples.manifest.frame[TRUTH].iloc[judged.rows].eq(LABELS[1]).to_numpy()
    wrong = truth != (judged.labels == 1)
    facts = {
        "start": named["start"], "size": int(named["size"]), "kind": named["kind"], "rate": float(named["rate"]),
        "seed": int(named["seed"]),
        "labels": len(wrong), "planted": int(wrong.sum()), "auroc": roc_auc_score(truth, judged.probabilities),
        "seconds": record["seconds"], "commit": record["commit"],
    }  # fmt: skip
    for space, run in {"the folds' networks": None, "pretraining": folder.parent / f"pretrain-{named['size']}"}.items():
        quality, _ = rank_labels(judged, run, "auto")
        suspected = wrong[quality.order[: quality.count]]
        counted = {"suspects": quality.count, "suspects_wrong": int(suspected.sum()), "weight": quality.weight}
        for ranking, suspicion in rankings(quality).items():
            found = wrong[np.argsort(-suspicion, kind="stable")[: wrong.sum()]]
            yield facts | {
                "space": space, "ranking": ranking, "precision_at_planted": found.mean(),
                "average_precision": average_precision_score(wrong, suspicion), **counted,
            }  # fmt: skip


def rankings(quality: LabelQuality) -> dict[str, NDArray[np.float64]]:
    """The audit's ranking, and others that could take its place."""
    first, second = quality.by_network, quality.by_neighbours
    return {
        OURS: quality.suspicion, "networks alone": first, "neighbours alone": second, "mean": first + second,
        "mean of ranks": rankdata(first) + rankdata(second), "product": -(1 - first) * (1 - second),
    }  # fmt: skip


def markdown(frame: pd.DataFrame) -> Iterator[str]:
    """Precision at the number planted, and average precision: the mean over seeds, with their range."""
    cases = [(kind, rate) for kind in ("random", "boundary") for rate in sorted(frame["rate"].unique())]
    yield "| start | px | neighbours in | ranking | " + " | ".join(f"{kind}, {rate:.0%}" for kind, rate in cases) + " |"
    yield "|---" * (4 + len(cases)) + "|"
    for keys, part in frame.groupby(["start", "size", "space", "ranking"], sort=False):
        cells = []
        for kind, rate in cases:
            own = part[part["kind"].eq(kind) & part["rate"].eq(rate)]
            found = "; ".join(over_seeds(own[name]) for name in ("precision_at_planted", "average_precision"))
            cells.append(found if len(own) else "-")
        yield "| " + " | ".join([*map(str, keys), *cells]) + " |"


if __name__ == "__main__":
    main()
