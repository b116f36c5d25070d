"""Write results/deeppcb.csv and its table from the run folders of scripts/run_deeppcb.sh.

python scripts/results_deeppcb.py RUNS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.decision.thresholds import choose_threshold
from ssl_pcb.evaluation.floors import edge_count_scores, position_scores
from ssl_pcb.evaluation.report import evaluate_scores
from ssl_pcb.reports.ledger import record_test_touch

RESULTS = Path("results")
SPLITS = ("holdout", "val", "test")
METRICS = ("auroc", "average_precision", "balanced_accuracy", "escape_rate", "false_call_rate")
METHODS = {
    "tile position alone": "",
    "copper-edge count alone": "",
    "random init, logistic probe": "linear-eval",
    "SimCLR, logistic probe": "linear-eval",
    "scratch finetune, natural": "scratch-natural",
    "scratch finetune, epoch_undersample": "scratch-epoch_undersample",
    "SimCLR finetune, natural": "simclr-natural",
    "SimCLR finetune, epoch_undersample": "simclr-epoch_undersample",
}


def floors(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Reports of what the label can be told from without looking at the defect."""
    train = manifest.split("train")
    parts = {split: manifest.split(split) for split in SPLITS}
    scores = {
        "tile position alone": {split: position_scores(train, part) for split, part in parts.items()},
        "copper-edge count alone": {split: edge_count_scores(part) for split, part in parts.items()},
    }
    found: dict[str, dict[str, Any]] = {}
    for name, by_split in scores.items():
        labels = {split: part.frame["label"].eq(LABELS[1]).to_numpy().astype(int) for split, part in parts.items()}
        threshold = choose_threshold(by_split["val"], labels["val"], "balanced_accuracy")
        found[name] = {
            split: evaluate_scores(
                by_split[split], labels[split], threshold, list(part.frame["group"]), list(part.frame["path"])
            )
            for split, part in parts.items()
        }
    return found


def runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Reports of the runs, by method."""
    found = {}
    for method, name in METHODS.items():
        if name:
            key = "floor_reports" if method == "random init, logistic probe" else "reports"
            found[method] = json.loads((folder / name / "summary.json").read_text())[key]
    return found


def record_floors(manifest: Path, found: dict[str, dict[str, Any]]) -> None:
    """The floors look at the test boards too, once: say so in the ledger."""
    run = json.loads(Path(manifest.parent / "linear-eval" / "run.json").read_text())
    test = Manifest.read(manifest).split("test")
    for name, reports in found.items():
        record_test_touch(
            [RESULTS / "test_ledger.csv"],
            {
                "command": "results_deeppcb",
                "run": manifest.parent.as_posix(),
                "data": manifest.as_posix(),
                "data_fingerprint": run["data"]["fingerprint"],
                "split": "test",
                "boards": " ".join(sorted(set(test.frame["group"]))),
                "samples": str(len(test)),
                "auroc": f"{reports['test']['metrics']['auroc']['value']:.4f}",
                "purpose": f"floor: {name}",
            },
        )


def write_tables(found: dict[str, dict[str, Any]], folder: Path) -> None:
    """One CSV row a method and split, and the Markdown table of the README."""
    rows = []
    for method in METHODS:
        run = folder / METHODS[method] / "run.json"
        record = json.loads(run.read_text()) if METHODS[method] else {}
        for split, report in found[method].items():
            row = {"method": method, "split": split, "unit": "tile"}
            for name in METRICS:
                entry = report["metrics"].get(name, {})
                row |= {name: entry.get("value"), f"{name}_low": entry.get("low"), f"{name}_high": entry.get("high")}
            row |= {"seconds": record.get("seconds"), "commit": record.get("commit")}
            rows.append(row)
    RESULTS.mkdir(exist_ok=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(RESULTS / "deeppcb.csv", index=False, float_format="%.4f", lineterminator="\n")
    (RESULTS / "deeppcb.md").write_text("\n".join(markdown(frame)) + "\n", encoding="utf-8")


def markdown(frame: pd.DataFrame) -> list[str]:
    """Validation beside test, each value with its interval where there is one."""
    columns = [("val", "auroc"), ("test", "auroc"), ("test", "average_precision"), ("test", "escape_rate"),
               ("test", "false_call_rate")]  # fmt: skip
    heads = ["AUROC, validation", "AUROC, test", "average precision, test", "escape rate, test", "false calls, test"]
    lines = ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for method in METHODS:
        cells = []
        for split, name in columns:
            row = frame[frame["method"].eq(method) & frame["split"].eq(split)].iloc[0]
            interval = (
                "" if pd.isna(row[f"{name}_low"]) else f" ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"
            )
            cells.append("-" if pd.isna(row[name]) else f"{row[name]:.3f}{interval}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    folder = Path(sys.argv[1])
    manifest = folder / "tiles.csv"
    found = floors(Manifest.read(manifest))
    record_floors(manifest, found)
    found |= runs(folder)
    write_tables(found, folder)
    print((RESULTS / "deeppcb.md").read_text())


if __name__ == "__main__":
    main()
