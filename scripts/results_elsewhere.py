"""Write results/elsewhere.csv and .md from the run folders that scripts/run_elsewhere.sh has made.

python scripts/results_elsewhere.py RUNS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_pcb.reports.run import read_run

RESULTS = Path("results")
PROBES = {"defect_map": "defect map", "one_class": "distance", "logistic": "linear probe"}


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """How well painted defects are told from retouched pictures at the end, and real ones where there are labels."""
    for run in sorted(file.parent for file in folder.glob("*-pretext/summary.json")):
        data = run.name.removesuffix("-pretext")
        *_, last = (run / "metrics.jsonl").read_text().splitlines()
        facts = {"data": data, "commit": read_run(run)["commit"]}
        yield facts | {"measure": "painted against retouched, training images", "labels": 0.0,
                       "auroc": json.loads(last)["retouched_auroc"]}  # fmt: skip
        table = folder / f"{data}-probes" / "metrics.jsonl"
        for line in table.read_text().splitlines() if table.exists() else []:
            found = json.loads(line)
            if found["split"] == "val" and found["probe"] in PROBES:
                start = "pretext" if found["backbone"] == "checkpoint" else "random init"
                yield facts | {
                    "measure": f"{PROBES[found['probe']]}, {start}, validation boards", "labels": found["labels"],
                    **{f"auroc{end}": found[f"auroc{end}"] for end in ("", "_low", "_high")},
                }  # fmt: skip


def main() -> None:
    frame = pd.DataFrame(rows(Path(sys.argv[1])))
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "elsewhere.csv", index=False, float_format="%.4f", lineterminator="\n")
    lines = ["| data | measure | labels | AUROC |", "|---|---|---|---|"]
    for row in frame.to_dict("records"):
        interval = f" ({row['auroc_low']:.3f} to {row['auroc_high']:.3f})" if row.get("auroc_low", 0) > 0 else ""
        lines.append(f"| {row['data']} | {row['measure']} | {row['labels']:.0%} | {row['auroc']:.3f}{interval} |")
    (RESULTS / "elsewhere.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


main()
