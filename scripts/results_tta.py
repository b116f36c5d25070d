"""Write results/tta.csv and its table: what judging by eight views in place of one is worth, with the same weights.

python scripts/results_tta.py RUN...

A RUN is a finished finetuning, or a pretraining on painted defects, whose map is judged without any label. Both ways
judge the validation boards of the run's data alone. A RUN that was measured before, perhaps on another machine, stays
until a folder of that name is measured again; its commit is that of the training. The difference's interval is a paired
bootstrap's over source images.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.features import FeatureNetwork, extract_features
from ssl_pcb.evaluation.metrics import AT_ESCAPE, classification_metrics
from ssl_pcb.evaluation.paired import paired_difference
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.stages.finetune import predict
from ssl_pcb.stages.finetuned import load_classifier
from ssl_pcb.training.checkpoint import load_backbone
from ssl_pcb.training.processes import alone

RESULTS = Path("results")
METRICS = ("auroc", *AT_ESCAPE)
Judge = Callable[[Samples, NDArray[np.int64]], NDArray[np.float64]]


def opened(run: Path) -> tuple[Samples, FeatureNetwork, Judge, int]:
    """The run's data, its network, what scores by it, and its seed."""
    if read_run(run).get("stage") == "finetune":
        judge = load_classifier(run, "cpu")
        samples, _ = load_samples(judge.config.data)
        model, fabric, seed = judge.model, judge.fabric, judge.config.runtime.seed
        return samples, model.backbone, lambda of, rows: predict(model, of, rows, fabric), seed
    config = read_config(run, "pretrain")
    if not isinstance(config.method, DefectPretextConfig):
        raise UserError(f"{run}: has no map of painted defects; name a run that has, or a finetuning")
    samples, data = load_samples(config.data)
    network = Backbone(config.backbone, samples.channels, data.context)
    load_backbone(network, run)
    fabric = alone(RuntimeConfig(device="cpu", precision="fp32", threads=config.runtime.threads))

    def most_suspicious(of: Samples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return extract_features(network, of.pixels(rows), data.image_size, fabric)[:, 0].astype(np.float64)

    return samples, network, most_suspicious, config.runtime.seed


def measured(run: Path) -> dict[str, Any]:
    """A row of the table."""
    samples, network, judge, seed = opened(run)
    rows = samples.rows("val", labelled=True)
    labels, found, seconds = samples.labels[rows], {}, {}
    judge(samples, rows[:64])  # the first pass also pays for cold pages
    for name, network.tta in (("one", False), ("eight", True)):
        began = time.perf_counter()
        found[name] = judge(samples, rows)
        seconds[name] = time.perf_counter() - began
    row: dict[str, Any] = {"run": run.name, "seed": seed}
    for name, scores in found.items():
        metrics = classification_metrics(scores, labels, 0.0)
        row |= {f"{metric}_{name}": metrics[metric] for metric in METRICS}
    groups, images = samples.column("group", rows), samples.column("path", rows)
    gain = paired_difference(found["eight"][None], found["one"][None], labels, groups, images, "auroc", seed=seed)
    row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high, "over": gain.over}
    return row | {"times_as_long": seconds["eight"] / seconds["one"], "commit": read_run(run)["commit"]}


def line(row: Any) -> str:
    """A row in words."""
    rates = [f"{getattr(row, f'{name}_one'):.1%} to {getattr(row, f'{name}_eight'):.1%}" for name in AT_ESCAPE]
    gain = f"{row.gain:+.4f} ({row.gain_low:+.4f} to {row.gain_high:+.4f})"
    return f"| {row.run} | {row.auroc_one:.4f} | {row.auroc_eight:.4f} | {gain} | {' | '.join(rates)} |"


def main() -> None:
    file = RESULTS / "tta.csv"
    fresh = pd.DataFrame(measured(Path(name)) for name in sys.argv[1:])
    known = [pd.read_csv(file)] if file.exists() else []
    table = pd.concat([*known, fresh]).drop_duplicates("run", keep="last").sort_values("run")
    table.to_csv(file, index=False, float_format="%.4f", lineterminator="\n")
    heads = ["run", "AUROC, one view", "eight", "gain", "false calls at 5 % escape", "at 1 % escape"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(line(row) for row in table.itertuples())]
    (RESULTS / "tta.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


main()
