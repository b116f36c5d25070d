"""Write results/heat_maps.csv and its table: do heat maps point at the defects? On validation tiles.

python scripts/results_heat_maps.py RUN [RUN ...]

Each RUN is a finetuning from painted defects with one neck. The test boards are not looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_pcb.augment.views import plain_view
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.evaluation.heat_maps import cell_scores, grad_cam
from ssl_pcb.evaluation.paired import resampled_difference
from ssl_pcb.evaluation.pointing import energy_inside, inside, pointing_hits
from ssl_pcb.imaging.resize import map_boxes
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.embed import open_coder
from ssl_pcb.stages.finetuned import load_classifier

RESULTS = Path("results")
AT_ONCE, RESAMPLES, SEED = 64, 1000, 0
MEASURES = {"pointing": "peak in a defect", "energy": "share of the map in defects"}
BESIDE = "score of each cell"
"""The map that others are compared with."""
MapOf = Callable[[Tensor], Tensor]


def ways(run: Path) -> Iterator[tuple[str, MapOf]]:
    """What makes a map (N, S, S) of images (N, C, S, S), by name."""
    model = load_classifier(run, "cpu").model
    network: Any = model.backbone.network
    yield "chance: every place alike", lambda images: torch.ones_like(images[:, 0])
    yield "centre: a bell, a quarter of the side wide", centre_bell
    yield "Grad-CAM, stride 16", lambda images: grad_cam(model, images, network.layer3)
    yield "Grad-CAM, stride 8", lambda images: grad_cam(model, images, network.layer2)
    yield "Grad-CAM, the neck's map", lambda images: grad_cam(model, images)
    yield BESIDE, lambda images: cell_scores(model, images)
    pretrained = open_coder(Path(read_run(run)["checkpoint"]), "cpu").network
    assert isinstance(pretrained, Backbone)
    yield "painted defects' own map, no labels", lambda images: painted_map(pretrained, images)


def centre_bell(images: Tensor) -> Tensor:
    """A Gaussian in the middle."""
    side = images.shape[-1]
    along = torch.exp(-(((torch.arange(side) + 0.5 - side / 2) / (side / 4)) ** 2) / 2)
    return (along[:, None] * along).expand(len(images), -1, -1)


@torch.no_grad()
def painted_map(network: Backbone, images: Tensor) -> Tensor:
    """What the pretraining says of each cell."""
    (found,) = network.eval().maps(images)
    wide = torch.nn.functional.interpolate(torch.sigmoid(found[:, :1]), images.shape[2:], mode="bilinear")
    return wide[:, 0]


def judged(samples: Samples) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Defective validation rows that show a box (N,), and which of their pixels lie in one (N, S, S)."""
    size, rows, covered = samples.store.spec.size, [], []
    for row in samples.rows("val", labelled=True):
        sample = samples.manifest.sample(int(row))
        boxes = map_boxes(sample.boxes, sample.crop, tuple(samples.store.sizes[row]), size)
        held = inside(boxes, size)
        if sample.label == 1 and held.any():
            rows.append(row)
            covered.append(held)
    return np.array(rows, np.int64), np.array(covered)


def measured(run: Path) -> Iterator[dict[str, Any]]:
    """A row a way, with intervals over source images."""
    samples, config = load_samples(load_classifier(run, "cpu").config.data)
    rows, covered = judged(samples)
    where = samples.column("group", rows), samples.column("path", rows)
    pixels = samples.pixels(rows)
    batches = [
        plain_view(pixels.__getitems__(list(range(n, min(n + AT_ONCE, len(rows))))).inputs, config.image_size)
        for n in range(0, len(rows), AT_ONCE)
    ]
    found = {}
    for name, way in ways(run):
        maps = torch.cat([way(batch).detach() for batch in batches]).double().numpy()
        found[name] = {"pointing": pointing_hits(maps, covered), "energy": energy_inside(maps, covered)}
    for name, values in found.items():
        line: dict[str, Any] = {"run": run.name, "map": name, "split": "val", "tiles": len(rows)}
        line["images"] = len(set(where[1]))
        for measure, each in values.items():
            for end, of in ((measure, each), (f"{measure}_difference", each - found[BESIDE][measure])):
                got = resampled_difference(mean_of(of), *where, RESAMPLES, SEED, 0.95)
                line |= {end: got.value, f"{end}_low": got.low, f"{end}_high": got.high}
        yield line | {"commit": str(read_run(run).get("commit"))}


def mean_of(values: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Sample weights (R, N) to weighted means (R,)."""
    return lambda weights: weights @ values / weights.sum(1)


def markdown(frame: pd.DataFrame) -> str:
    """A table a run."""
    lines = []
    for run, table in frame.groupby("run", sort=False):
        first = table.iloc[0]
        lines += [f"`{run}`, {first['tiles']} Defective validation tiles of {first['images']} images:", ""]
        lines += ["| map | " + " | ".join(MEASURES.values()) + " |", "|---" * (len(MEASURES) + 1) + "|"]
        for _, line in table.iterrows():
            cells = [f"{line[name]:.3f} ({line[f'{name}_low']:.3f} to {line[f'{name}_high']:.3f})" for name in MEASURES]
            lines.append(f"| {line['map']} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    frame = pd.DataFrame(line for run in sys.argv[1:] for line in measured(Path(run)))
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "heat_maps.csv", index=False, float_format="%.5f", lineterminator="\n")
    (RESULTS / "heat_maps.md").write_text(markdown(frame), encoding="utf-8")
    print(markdown(frame))


main()
