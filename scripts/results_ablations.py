"""Add what scripts/run_ablations.sh has finished to results/ablations.csv, and write its table anew.

python scripts/results_ablations.py SWEEP FOLDER

A row that was measured before stays until the same row is measured again. How much an entry is better than the one that
it differs from, of the same seed, is said of the defect map where there is one, else of the probe with all labels; its
interval is a paired bootstrap's over source images.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from results_cells import cell

from ssl_pcb.evaluation.paired import paired_difference
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.sweep_plan import Planned, plan_runs, read_sweep

RESULTS = Path("results")
MEASURES = {"defect_map": "map", "one_class": "distance", "logistic": "probe"}
COLUMNS = {
    "map": "defect map", "gain": "gain", "distance": "distance", "probe_0.01": "probe, 1 %", "probe_0.1": "probe, 10 %",
    "probe_1": "probe, 100 %",
}  # fmt: skip


def rows(runs: list[Planned]) -> Iterator[dict[str, Any]]:
    """A row a finished run: AUROC on validation boards of each use and share of the labels."""
    finished = {(run.entry, run.seed): run for run in runs if read_run(run.folder).get("status") == "finished"}
    for (entry, seed), run in finished.items():
        assert run.before is not None
        before, record = run.before.config, read_run(run.before.folder)
        row: dict[str, Any] = {
            "entry": entry, "seed": seed, "epochs": before.training.epochs, "size": before.data.image_size,
            "against": run.against if entry != run.against else "",
        }  # fmt: skip
        for line in (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            found = json.loads(line)
            if found["backbone"] == "checkpoint" and found["split"] == "val" and found["probe"] in MEASURES:
                share = f"_{found['labels']:g}" if found["labels"] else ""
                for end in ("", "_low", "_high"):
                    row[f"{MEASURES[found['probe']]}{share}{end}"] = found[f"auroc{end}"]
        base = finished.get((run.against, seed))
        if row["against"] and base is not None:
            row |= gain(run.folder, base.folder, seed)
        yield row | {"seconds": record["seconds"], "commit": record["commit"]}


def gain(after: Path, before: Path, seed: int) -> dict[str, float]:
    """How much more AUROC the scores of the first run have than those of the second, on the validation boards."""
    name = "defect_map_predictions.csv"
    if not all((folder / name).exists() for folder in (after, before)):
        name = "checkpoint_predictions.csv"
    first, second = (pd.read_csv(folder / name).query("split == 'val'").set_index("row") for folder in (after, before))
    new, old = (each["score"].to_numpy()[None] for each in (first, second.loc[first.index]))
    labels = (first["label"] == "Defective").to_numpy().astype(int)
    groups, images = first["group"].astype(str).tolist(), first["path"].tolist()
    found = paired_difference(new, old, labels, groups, images, "auroc", seed=seed)
    return {"gain": found.value, "gain_low": found.low, "gain_high": found.high}


def markdown(frame: pd.DataFrame) -> Iterator[str]:
    """AUROC with its interval; the mean over seeds with their range where there are several."""
    yield "| entry | " + " | ".join(COLUMNS.values()) + " |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    frame = frame.reindex(columns=frame.columns.union(list(COLUMNS), sort=False))  # of the baseline alone nothing gains
    for entry, part in frame.groupby("entry", sort=False):
        known = {column: part[part[column].notna()] for column in COLUMNS}
        cells = [cell(rows, name, "+.3f" if name == "gain" else ".3f") or "-" for name, rows in known.items()]
        yield f"| {entry} | " + " | ".join(cells) + " |"


def main() -> None:
    runs, file = plan_runs(read_sweep(Path(sys.argv[1])), Path(sys.argv[2])), RESULTS / "ablations.csv"
    frame = pd.DataFrame(rows(runs))
    if file.exists():
        frame = pd.concat([pd.read_csv(file), frame], ignore_index=True)
    frame = frame.drop_duplicates(["entry", "seed"], keep="last")
    in_order = pd.Categorical(frame["entry"], list(dict.fromkeys(run.entry for run in runs)))
    frame = frame.assign(entry=in_order).sort_values(["entry", "seed"])
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(file, index=False, float_format="%.4f", lineterminator="\n")
    text = "\n".join(markdown(pd.read_csv(file))) + "\n"  # by the digits of the file, whenever it is written
    (RESULTS / "ablations.md").write_text(text, encoding="utf-8")
    print(text)


main()
