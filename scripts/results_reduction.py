"""Write results/reduction_deeppcb.csv and its table: autoencoders beside principal components, on validation boards.

python scripts/results_reduction.py RUNS

RUNS holds tiles.csv and the autoencoder runs of scripts/run_reduction.sh. The test boards are not looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.evaluation.reduction import Interval, Reduced, autoencode, fit_components, join, judge_reduction
from ssl_pcb.models.autoencoder import Autoencoder
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.embed import Coder, open_coder

RESULTS = Path("results")
SPLITS = ("train", "holdout", "val")
MEASURES = {"mse": "squared error of a pixel", "probe_auroc": "probe AUROC", "anomaly_auroc": "anomaly AUROC"}
RESAMPLES, SEED = 1000, 0


def rows(samples: Samples, coders: list[Coder]) -> Iterator[dict[str, Any]]:
    """One row a method and dimension, principal components first; all are fitted on the training boards alone."""
    size = samples.store.spec.size
    parts = {split: samples.pixels(samples.rows(split, labelled=True)) for split in SPLITS}
    dims = sorted({coder.network.dim for coder in coders})
    components = fit_components(samples.pixels(samples.rows("train")), size, dims[-1], SEED)
    for dim in dims:
        linear = {split: components.first(dim).reduce(part) for split, part in parts.items()}
        yield row("principal components", dim, linear, samples)
    for coder in sorted(coders, key=lambda coder: coder.network.dim):
        assert isinstance(coder.network, Autoencoder)
        coded = {split: join(list(autoencode(coder.network, part, coder.fabric))) for split, part in parts.items()}
        yield row("autoencoder", coder.network.dim, coded, samples)


def row(method: str, dim: int, parts: dict[str, Reduced], samples: Samples) -> dict[str, Any]:
    """Every measure on validation, with the ends of its interval."""
    found: dict[str, Interval] = judge_reduction(parts, samples, RESAMPLES, SEED)
    line: dict[str, Any] = {"method": method, "dimension": dim, "split": "val"}
    for name, (value, low, high) in found.items():
        line |= {name: value, f"{name}_low": low, f"{name}_high": high}
    print(f"{method}, {dim}: " + ", ".join(f"{name} {value[0]:.4f}" for name, value in found.items()), flush=True)
    return line


def markdown(frame: pd.DataFrame) -> str:
    """The table, best error and best AUROC last."""
    lines = ["| method | dimension | " + " | ".join(MEASURES.values()) + " |", "|---" * (len(MEASURES) + 2) + "|"]
    for _, line in frame.iterrows():
        cells = []
        for name in MEASURES:
            digits = 4 if name == "mse" else 3
            value, low, high = (f"{line[key]:.{digits}f}" for key in (name, f"{name}_low", f"{name}_high"))
            cells.append(f"{value} ({low} to {high})")
        lines.append(f"| {line['method']} | {line['dimension']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    folder = Path(sys.argv[1])
    found = sorted(file.parent for file in folder.glob("*/head.safetensors"))
    coders = [coder for coder in (open_coder(run, "auto") for run in found) if isinstance(coder.network, Autoencoder)]
    if len({coder.config.data for coder in coders}) != 1:
        sys.exit(f"{folder}: must hold autoencoder runs, all on the same data")
    samples, _ = load_samples(coders[0].config.data.model_copy(update={"manifest": folder / "tiles.csv"}))
    frame = pd.DataFrame(rows(samples, coders))
    frame["commit"] = str(read_run(found[0]).get("commit"))
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "reduction_deeppcb.csv", index=False, float_format="%.5f", lineterminator="\n")
    (RESULTS / "reduction_deeppcb.md").write_text(markdown(frame), encoding="utf-8")
    print(markdown(frame))


main()
