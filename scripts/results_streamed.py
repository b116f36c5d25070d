"""Write results/streamed.csv and .md from the run folders that scripts/run_streamed.sh has made.

python scripts/results_streamed.py RUNS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from ssl_pcb.reports.run import read_config, read_run

RESULTS = Path("results")


def main() -> None:
    rows = []
    for folder in sorted(file.parent for file in Path(sys.argv[1]).glob("*-*/summary.json")):
        config, record = read_config(folder, "pretrain"), read_run(folder)
        epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        summary = json.loads((folder / "summary.json").read_text())
        rows.append(
            {
                "data": folder.name.split("-")[0],
                "method": config.method.name,
                "images": summary["samples"],
                "channels": config.data.channels,
                "loss, first epoch": epochs[0]["loss"],
                "loss, last epoch": epochs[-1]["loss"],
                "images/s": epochs[-1]["samples_per_second"],
                "effective rank": epochs[-1]["effective_rank"],
                "commit": record["commit"],
            }
        )
    frame = pd.DataFrame(rows)
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "streamed.csv", index=False, float_format="%.4f", lineterminator="\n")
    shown = frame.drop(columns="commit")
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
    for row in shown.itertuples(index=False):
        lines.append(
            "| " + " | ".join(f"{value:.3g}" if isinstance(value, float) else f"{value}" for value in row) + " |"
        )
    (RESULTS / "streamed.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


main()
