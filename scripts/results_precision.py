"""Write results/precision_deeppcb.csv and .md from the run folders that scripts/run_precision.sh has made.

python scripts/results_precision.py RUNS
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
    for folder in sorted(file.parent for file in Path(sys.argv[1]).glob("*-probes/summary.json")):
        config, summary = read_config(folder, "linear-eval"), json.loads((folder / "summary.json").read_text())
        pretrained = Path(config.checkpoint)
        epochs = [json.loads(line) for line in (pretrained / "metrics.jsonl").read_text().splitlines()]
        row = {"precision": config.runtime.precision, "seed": config.runtime.seed, "split": "val"}
        for measure, report in (("probe", summary["reports"]), ("map", summary["label_free_reports"]["defect_map"])):
            auroc = report["val"]["metrics"]["auroc"]
            row |= {
                f"{measure}_auroc{end}": auroc[key] for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
        rows.append(row | {"last_loss": epochs[-1]["loss"], "commit": read_run(pretrained)["commit"]})
    frame = pd.DataFrame(rows)
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "precision_deeppcb.csv", index=False, float_format="%.4f", lineterminator="\n")
    lines = [
        "| AUROC on validation boards | bf16, each seed | fp32, each seed | bf16 less fp32, mean | standard deviation |"
    ]
    lines += ["|---|---|---|---|---|"]
    for measure, name in (
        ("map_auroc", "map of painted defects, no labels"),
        ("probe_auroc", "logistic probe, all labels"),
    ):
        wide = frame.pivot(index="seed", columns="precision", values=measure)
        each = [", ".join(f"{value:.3f}" for value in wide[precision]) for precision in ("bf16", "fp32")]
        apart, spread = (wide["bf16"] - wide["fp32"]).mean(), wide.std().max()
        lines.append(f"| {name} | {each[0]} | {each[1]} | {apart:+.3f} | {spread:.3f} |")
    lines += ["", "Standard deviation: over the seeds of one precision, the larger of the two."]
    (RESULTS / "precision_deeppcb.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


main()
