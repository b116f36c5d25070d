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
        auroc = summary["reports"]["val"]["metrics"]["auroc"]
        rows.append(
            {
                "precision": config.runtime.precision, "seed": config.runtime.seed, "split": "val",
                "auroc": auroc["value"], "auroc_low": auroc["low"], "auroc_high": auroc["high"],
                "last_loss": epochs[-1]["loss"], "images_per_second": epochs[-1]["samples_per_second"],
                "commit": read_run(pretrained)["commit"],
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "precision_deeppcb.csv", index=False, float_format="%.4f", lineterminator="\n")
    lines = ["| precision | probe AUROC of each seed | mean | last loss | images/s |", "|---|---|---|---|---|"]
    for precision, part in frame.groupby("precision"):
        each = ", ".join(f"{value:.3f}" for value in part["auroc"])
        lines.append(
            f"| {precision} | {each} | {part['auroc'].mean():.3f} | {part['last_loss'].mean():.3f} "
            f"| {part['images_per_second'].median():.0f} |"
        )
    wide = frame.pivot(index="seed", columns="precision", values="auroc")
    apart, spread = (wide["bf16"] - wide["fp32"]).mean(), frame.groupby("precision")["auroc"].std().max()
    lines += ["", f"bf16 less fp32: {apart:+.3f}; standard deviation over seeds: {spread:.3f}."]
    (RESULTS / "precision_deeppcb.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


main()
