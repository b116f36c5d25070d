"""Measure ``ssl-pcb audit next`` against choosing at random: results/audit_next.csv and its table.

python scripts/results_audit_next.py hide MANIFEST SHARE SEED OUT      # keep SHARE of the training labels
python scripts/results_audit_next.py random MANIFEST COUNT SEED OUT    # choose unlabelled samples at random
python scripts/results_audit_next.py answer MANIFEST CHOSEN OUT        # what somebody who knows the labels decides
python scripts/results_audit_next.py measure RUNS

RUNS holds the finetunings of scripts/run_audit_next.sh. Only validation boards judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from results_cells import over_seeds

from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.evaluation.paired import paired_difference
from ssl_pcb.evaluation.probes import label_fraction_indices
from ssl_pcb.reports.run import read_run
from ssl_pcb.reports.saved import read_predictions

RESULTS = Path("results")
RUN = re.compile(r"(?P<choice>few|next|diverse|random)-(?P<seed>\d+)-finetune")
CHOICES = {
    "few": "none: the few labels that there were", "random": "at random",
    "diverse": "audit next --run PRETRAINING: diverse", "next": "audit next --run FINETUNING: uncertain and diverse",
}  # fmt: skip
METRICS = ("auroc", "average_precision")
PATH = click.Path(path_type=Path)


@click.group()
def main() -> None:
    pass


@main.command()
@click.argument("manifest", type=PATH)
@click.argument("share", type=click.FloatRange(0, 1))
@click.argument("seed", type=int)
@click.argument("out", type=PATH)
def hide(manifest: Path, share: float, seed: int, out: Path) -> None:
    table = Manifest.read(manifest)
    train = table.frame.index[table.frame["split"].eq("train") & table.frame["label"].ne("")].to_numpy()
    classes = table.frame["label"].iloc[train].eq(LABELS[1]).to_numpy().astype(int)
    kept = train[label_fraction_indices(classes, share, seed)]
    frame = table.frame.copy()
    frame.loc[np.setdiff1d(train, kept), "label"] = ""
    Manifest.build(frame, table.root, str(manifest)).write(out)
    print(f"{len(kept)} of {len(train)} training labels kept in {out}")


@main.command("random")
@click.argument("manifest", type=PATH)
@click.argument("count", type=int)
@click.argument("seed", type=int)
@click.argument("out", type=PATH)
def at_random(manifest: Path, count: int, seed: int, out: Path) -> None:
    frame = Manifest.read(manifest).frame
    rows = frame.index[frame["split"].eq("train") & frame["label"].eq("")]
    pd.DataFrame({"row": np.random.default_rng(seed).choice(rows, count, replace=False)}).to_csv(out, index=False)


@main.command()
@click.argument("manifest", type=PATH)
@click.argument("chosen", type=PATH)
@click.argument("out", type=PATH)
def answer(manifest: Path, chosen: Path, out: Path) -> None:
    rows = pd.read_csv(chosen)["row"]
    labels = Manifest.read(manifest).frame["label"].iloc[rows]
    pd.DataFrame({"row": rows, "label": labels.tolist(), "label_before": ""}).to_csv(out, index=False)


@main.command()
@click.argument("runs", type=PATH)
def measure(runs: Path) -> None:
    scores: dict[str, dict[int, pd.DataFrame]] = {}
    frame = pd.DataFrame(row for folder in sorted(runs.glob("*-finetune")) for row in measured(folder, scores))
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "audit_next.csv", index=False, float_format="%.4f", lineterminator="\n")
    text = "\n".join(markdown(frame, scores)) + "\n"
    (RESULTS / "audit_next.md").write_text(text, encoding="utf-8")
    print(text)


def measured(folder: Path, scores: dict[str, dict[int, pd.DataFrame]]) -> Iterator[dict[str, Any]]:
    """A row for a finished finetuning; its validation scores go into ``scores``, by choice and seed."""
    named, record = RUN.fullmatch(folder.name), read_run(folder)
    if named is None or record.get("status") != "finished":
        return
    predictions = read_predictions(folder / "predictions.csv")
    scores.setdefault(named["choice"], {})[int(named["seed"])] = predictions[predictions["split"].eq("val")]
    report = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["reports"]["val"]
    split = record["data"]["splits"]["train"]
    row: dict[str, Any] = named.groupdict() | {
        "labels": sum(split[each] for each in LABELS),
        LABELS[1]: split[LABELS[1]],
    }
    for metric in METRICS:
        entry = report["metrics"][metric]
        row |= {metric: entry["value"], f"{metric}_low": entry["low"], f"{metric}_high": entry["high"]}
    yield row | {"seconds": record["seconds"], "commit": record["commit"]}


def markdown(frame: pd.DataFrame, scores: dict[str, dict[int, pd.DataFrame]]) -> Iterator[str]:
    """Mean over seeds with their range, and the paired difference to random choice on the seeds that both have."""
    yield "| labelled next | labels | of them Defective | AUROC | average precision | AUROC more than at random |"
    yield "|---" * 6 + "|"
    for choice, title in CHOICES.items():
        own = frame[frame["choice"].eq(choice)]
        if len(own):
            cells = [
                f"{own['labels'].mean():.0f}",
                f"{own[LABELS[1]].mean():.0f}",
                *(over_seeds(own[m]) for m in METRICS),
            ]
            yield f"| {title} | " + " | ".join([*cells, against_random(choice, scores)]) + " |"


def against_random(choice: str, scores: dict[str, dict[int, pd.DataFrame]]) -> str:
    seeds = sorted(scores[choice].keys() & scores.get("random", {}).keys())
    if choice == "random" or not seeds:
        return ""
    sample = scores[choice][seeds[0]]
    first, second = (np.stack([scores[each][seed]["score"] for seed in seeds]) for each in (choice, "random"))
    labels = sample["label"].eq(LABELS[1]).to_numpy().astype(np.int64)
    found = paired_difference(first, second, labels, sample["group"].tolist(), sample["path"].tolist(), "auroc")
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


if __name__ == "__main__":
    main()
