"""Write results/NAME.csv and its table from a finished sweep.

python scripts/results_sweep.py FILE FOLDER NAME
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from ssl_pcb.config.sweep import SweepConfig
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.sweep_plan import plan_runs, read_sweep

RESULTS = Path("results")
HEADS = ["entry", "runs", "AUROC", "average precision", "against", "difference", "is"]


def markdown(table: pd.DataFrame, asked: SweepConfig) -> list[str]:
    """The entries in the order of the file, each with what its difference is."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    by_name = table.set_index("entry")
    for entry in asked.runs:
        row = by_name.loc[entry.name]
        cells = [entry.name, str(row["finished"]), span(row, "auroc"), span(row, "average_precision")]
        if pd.isna(row["average_precision_difference"]):
            cells += ["", "", ""]
        else:
            cells += [row["against"], span(row, "average_precision_difference", "+"), row["difference_is"]]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def span(row: pd.Series, name: str, sign: str = "") -> str:
    """A value with its interval, if it has one."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(value):
        return "-"
    interval = "" if pd.isna(low) else f" ({low:{sign}.3f} to {high:{sign}.3f})"
    return f"{value:{sign}.3f}{interval}"


def main() -> None:
    file, folder, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    table = pd.read_csv(folder / "leaderboard.csv")
    asked = read_sweep(file)
    runs = [each for run in plan_runs(asked, folder) for each in (run.before, run) if each is not None]
    records = {run.folder: read_run(run.folder) for run in runs}
    commits: dict[str, set[str]] = {}
    for run in runs:
        commits.setdefault(run.entry, set()).add(records[run.folder]["commit"])
    table["commit"] = [" ".join(sorted(commits[entry])) for entry in table["entry"]]
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.4f", lineterminator="\n")
    lines = markdown(table, asked)
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(f"\n{sum(record['seconds'] for record in records.values()) / 3600:.1f} hours of single runs")


if __name__ == "__main__":
    main()
