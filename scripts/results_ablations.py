"""Add the finished runs of scripts/run_ablations.sh to results/ablations.csv, and write its table anew.

python scripts/results_ablations.py RUNS

A row that was measured before stays until the same row is measured again. How much a row is better than the one that it
differs from, of the same seed, is said of the defect map where there is one, else of the probe with all labels; its
interval is a paired bootstrap's over source images.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_pcb.evaluation.paired import paired_difference
from ssl_pcb.reports.run import read_config, read_run

RESULTS = Path("results")
RUN = re.compile(r"(?P<name>\w+)-(?P<seed>\d+)-probes")
MEASURES = {"defect_map": "map", "one_class": "distance", "logistic": "probe"}
BASES = {"defect_pretext": "recipe", "simclr": "hard_negatives"}
JUDGED = {"defect_pretext": "defect_map", "simclr": "checkpoint"}


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """A row a finished run: AUROC on validation boards of each use and share of the labels."""
    for file in sorted(folder.glob("*-probes/summary.json")):
        named = RUN.fullmatch(file.parent.name)
        if named is None:
            continue
        seed = int(named["seed"])
        run = folder / f"{named['name']}-{seed}"
        config, record = read_config(run, "pretrain"), read_run(run)
        row: dict[str, Any] = {
            "method": config.method.name, "name": named["name"], "seed": seed, "epochs": config.training.epochs,
            "size": config.data.image_size,
        }  # fmt: skip
        for line in (file.parent / "metrics.jsonl").read_text().splitlines():
            found = json.loads(line)
            if found["backbone"] == "checkpoint" and found["split"] == "val" and found["probe"] in MEASURES:
                share = f"_{found['labels']:g}" if found["labels"] else ""
                for end in ("", "_low", "_high"):
                    row[f"{MEASURES[found['probe']]}{share}{end}"] = found[f"auroc{end}"]
        base, judged = BASES[config.method.name], f"{JUDGED[config.method.name]}_predictions.csv"
        before = folder / f"{base}-{seed}-probes" / judged
        if named["name"] != base and before.exists():
            row |= gain(file.parent / judged, before, seed)
        yield row | {"seconds": record["seconds"], "commit": record["commit"]}


def gain(after: Path, before: Path, seed: int) -> dict[str, float]:
    """How much more AUROC the first file's scores have than the second's, on the validation boards."""
    first, second = (pd.read_csv(file).query("split == 'val'").set_index("row") for file in (after, before))
    new, old = (each["score"].to_numpy()[None] for each in (first, second.loc[first.index]))
    labels = (first["label"] == "Defective").to_numpy().astype(int)
    groups, images = first["group"].astype(str).tolist(), first["path"].tolist()
    found = paired_difference(new, old, labels, groups, images, "auroc", seed=seed)
    return {"gain": found.value, "gain_low": found.low, "gain_high": found.high}


def markdown(frame: pd.DataFrame) -> Iterator[str]:
    """AUROC with its interval; the mean over seeds with their range where there are several."""
    columns = ["map", "gain", "distance", "probe_0.01", "probe_0.1", "probe_1"]
    yield "| what differs | defect map | gain | distance | probe, 1 % | probe, 10 % | probe, 100 % |"
    yield "|---" * 7 + "|"
    no_values = pd.Series(dtype=float)
    for name, part in frame.groupby("name", sort=False):
        cells = []
        for column in columns:
            values, sign = part.get(column, no_values).dropna(), "+" if column == "gain" else ""
            if not len(values):
                cells.append("-")
            elif len(values) == 1:
                value, low, high = part[[column, f"{column}_low", f"{column}_high"]].loc[values.index[0]]
                cells.append(f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})")
            else:
                spread = f"{values.min():{sign}.3f} to {values.max():{sign}.3f}"
                cells.append(f"{values.mean():{sign}.3f} ({len(values)} seeds, {spread})")
        yield f"| {said(str(name))} | " + " | ".join(cells) + " |"


def said(name: str) -> str:
    """What the config's second line says of it."""
    return Path(f"configs/pretrain/ablations/{name}.yaml").read_text().splitlines()[1].removeprefix("# ").rstrip(".")


def main() -> None:
    file = RESULTS / "ablations.csv"
    frame = pd.DataFrame(rows(Path(sys.argv[1])))
    if file.exists():
        frame = pd.concat([pd.read_csv(file), frame])
    frame = frame.drop_duplicates(["name", "seed"], keep="last")
    frame = frame.sort_values(["method", "name", "seed"], key=lambda each: each.replace(list(BASES.values()), ""))
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(file, index=False, float_format="%.4f", lineterminator="\n")
    text = "\n".join(markdown(frame)) + "\n"
    (RESULTS / "ablations.md").write_text(text, encoding="utf-8")
    print(text)


main()
