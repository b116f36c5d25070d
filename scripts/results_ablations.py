"""Add the finished runs of scripts/run_ablations.sh to results/ablations.csv, and write its table anew.

python scripts/results_ablations.py RUNS

A row that was measured before stays until the same row is measured again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_pcb.reports.run import read_config, read_run

RESULTS = Path("results")
RUN = re.compile(r"(?P<name>\w+)-(?P<seed>\d+)-probes")
MEASURES = {"defect_map": "map", "one_class": "distance", "logistic": "probe"}


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """A row a finished run: AUROC on validation boards of each use and share of the labels."""
    for file in sorted(folder.glob("*-probes/summary.json")):
        named = RUN.fullmatch(file.parent.name)
        if named is None:
            continue
        run = folder / f"{named['name']}-{named['seed']}"
        config, record = read_config(run, "pretrain"), read_run(run)
        row: dict[str, Any] = {
            "name": named["name"], "seed": int(named["seed"]), "epochs": config.training.epochs,
            "size": config.data.image_size,
        }  # fmt: skip
        for line in (file.parent / "metrics.jsonl").read_text().splitlines():
            found = json.loads(line)
            if found["backbone"] == "checkpoint" and found["split"] == "val" and found["probe"] in MEASURES:
                share = f"_{found['labels']:g}" if found["labels"] else ""
                for end in ("", "_low", "_high"):
                    row[f"{MEASURES[found['probe']]}{share}{end}"] = found[f"auroc{end}"]
        yield row | {"seconds": record["seconds"], "commit": record["commit"]}


def markdown(frame: pd.DataFrame) -> Iterator[str]:
    """AUROC with its interval; the mean over seeds with their range where there are several."""
    columns = ["map", "distance", "probe_0.01", "probe_0.1", "probe_1"]
    yield "| what differs | epochs | px | defect map | distance | probe, 1 % | probe, 10 % | probe, 100 % |"
    yield "|---" * 8 + "|"
    for name, part in frame.groupby("name", sort=False):
        cells = [str(part["epochs"].iloc[0]), str(part["size"].iloc[0])]
        for column in columns:
            values = part[column].dropna() if column in part else part["seed"][:0]
            if not len(values):
                cells.append("-")
            elif len(values) == 1:
                cells.append(
                    "{:.3f} ({:.3f} to {:.3f})".format(*part[[column, f"{column}_low", f"{column}_high"]].iloc[0])
                )
            else:
                cells.append(f"{values.mean():.3f} ({len(values)} seeds, {values.min():.3f} to {values.max():.3f})")
        yield f"| {said(str(name))} | " + " | ".join(cells) + " |"


def said(name: str) -> str:
    """What the config's second line says of it."""
    return Path(f"configs/pretrain/ablations/{name}.yaml").read_text().splitlines()[1].removeprefix("# ").rstrip(".")


def main() -> None:
    file = RESULTS / "ablations.csv"
    frame = pd.DataFrame(rows(Path(sys.argv[1])))
    if file.exists():
        frame = pd.concat([pd.read_csv(file), frame])
    frame = frame.drop_duplicates(["name", "seed"], keep="last").sort_values(["name", "seed"])
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(file, index=False, float_format="%.4f", lineterminator="\n")
    text = "\n".join(markdown(frame)) + "\n"
    (RESULTS / "ablations.md").write_text(text, encoding="utf-8")
    print(text)


main()
