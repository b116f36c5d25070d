"""Write results/misaligned.csv and its table: what golden images that lie a little elsewhere cost, without any label.

python scripts/results_misaligned.py RUN

RUN is a pretraining on painted defects beside golden images (exact_golden_context of scripts/run_few_labels.sh). Each
golden image of the validation boards is shifted by some pixels of what the network sees, in four directions; judged are
the most suspicious cell of RUN's map, and the plain difference to the golden image.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ssl_pcb.augment.views import centre
from ssl_pcb.data.loaders import batches
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.evaluation.metrics import AT_ESCAPE, classification_metrics
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.stages.label_free import greatest_difference
from ssl_pcb.training.checkpoint import load_backbone

RESULTS = Path("results")
SHIFTS, DIRECTIONS = (0, 1, 2, 3), ((1, 0), (-1, 0), (0, 1), (0, -1))
METRICS = ("auroc", *AT_ESCAPE)


@torch.inference_mode()
def scores(network: Backbone, samples: Samples, right: int, down: int) -> dict[str, Any]:
    """Scores (N,) of the labelled validation samples, their golden images shifted by so many pixels."""
    spec, rows = samples.store.spec, samples.rows("val", labelled=True)
    found: dict[str, list[torch.Tensor]] = {"defect map": [], "plain difference": []}
    for batch in batches(samples.pixels(rows), np.arange(len(rows)), 64, drop_last=False):
        images, golden = batch.inputs.chunk(2, 1)
        images, golden = centre(images, spec.size) / 255, golden.roll((down, right), (2, 3))
        golden = centre(golden, spec.size) / 255
        found["defect map"].append(network(torch.cat([images, golden], 1))[:, 0])
        own = [centre(each, spec.own) for each in (images, golden)]
        found["plain difference"].append(greatest_difference(*own))
    return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}


def measured(run: Path) -> Iterator[dict[str, Any]]:
    """A row a score and shift: the mean over directions, and the worst."""
    config = read_config(run, "pretrain")
    samples, data = load_samples(config.data)
    network = Backbone(config.backbone, samples.channels, data.context)
    load_backbone(network, run)
    network.eval()
    labels = samples.labels[samples.rows("val", labelled=True)]
    for shift in SHIFTS:
        made = [scores(network, samples, x * shift, y * shift) for x, y in (DIRECTIONS if shift else DIRECTIONS[:1])]
        for name in made[0]:
            judged = [classification_metrics(part[name], labels, 0.0) for part in made]
            each = pd.DataFrame([[part[metric] for metric in METRICS] for part in judged], columns=METRICS)
            row = {"score": name, "shift_px": shift, "seed": config.runtime.seed, "commit": read_run(run)["commit"]}
            yield row | dict(each.mean()) | {f"{metric}_worst": worst(each[metric]) for metric in METRICS}


def worst(values: pd.Series) -> float:
    """The least AUROC, or the most false calls."""
    return float(values.min() if values.name == "auroc" else values.max())


def main() -> None:
    table = pd.DataFrame(measured(Path(sys.argv[1])))
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "misaligned.csv", index=False, float_format="%.4f", lineterminator="\n")
    lines = [
        "| shift | score | AUROC, mean (worst direction) | false calls at 5 % escape | at 1 % escape |",
        "|---" * 5 + "|",
    ]
    for row in table.itertuples(index=False):
        rates = [f"{getattr(row, name):.1%} ({getattr(row, f'{name}_worst'):.1%})" for name in AT_ESCAPE]
        lines.append(
            f"| {row.shift_px} px | {row.score} | {row.auroc:.3f} ({row.auroc_worst:.3f}) | {' | '.join(rates)} |"
        )
    (RESULTS / "misaligned.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


main()
