"""Write results/downsizer_deeppcb.csv: a learned downsizer beside plain resizing, at equal cost, on validation boards.

python scripts/compare_downsizer.py MANIFEST AUTOENCODER_RUN OUT [KEY=VALUE ...]

The autoencoder sees the large image; scripts/run_downsizer.sh makes one and then calls this. The plain image size is
chosen so that forward and backward take as long as behind the downsizer; both are timed here, and what the epochs
took, views and reading included, stands in the table. A third row has the downsizer's stages untrained, to tell what
their training adds. Further KEY=VALUE pairs are settings of all finetunings, those of ``downsizer`` of the last two.
The test boards are not looked at.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from ssl_pcb.config.load import load_config, parse_set
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.stages.start import start_stage

RESULTS = Path("results")
STEP, BATCH, TRIES = 8, 128, 4


def step_seconds(network: nn.Module, channels: int, size: int) -> float:
    """Fastest of some training steps in bf16 on random images."""
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = torch.rand(BATCH, channels, size, size).to(memory_format=torch.channels_last)
    times = []
    for _ in range(TRIES):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = network(images).float().square().mean()
        loss.backward()
        times.append(time.perf_counter() - began)
    return min(times)


def plain_size(learned: nn.Module, backbone: BackboneConfig, channels: int, size: int) -> int:
    """The image size at which a step of the bare backbone costs what one of ``learned`` does at ``size``."""
    target = step_seconds(learned, channels, size)
    seconds = {side: step_seconds(Backbone(backbone, channels), channels, side) for side in range(32, size + 1, STEP)}
    chosen = min(seconds, key=lambda side: abs(seconds[side] - target))
    print(f"a step: {target:.3f} s behind the downsizer at {size} px, {seconds[chosen]:.3f} s plain at {chosen} px")
    return chosen


def finetuned(name: str, out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """One row: validation metrics with intervals, and what an epoch took."""
    settings |= {"runtime.out": str(out)}
    begun = (out / "config.yaml").exists()
    if not begun or read_run(out).get("status") != "finished":
        start_stage("finetune", load_config(FinetuneConfig, None, settings), settings, resume=begun)
    summary = json.loads((out / "summary.json").read_text())
    epochs = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    row = {"method": name, "image_size": settings["data.image_size"], "split": "val"}
    for metric in ("auroc", "average_precision"):
        entry = summary["reports"]["val"]["metrics"][metric]
        row |= {metric: entry["value"], f"{metric}_low": entry["low"], f"{metric}_high": entry["high"]}
    seconds = min(epoch["seconds"] for epoch in epochs)
    return row | {"seconds_an_epoch": seconds, "commit": read_run(out).get("commit")}


def main() -> None:
    manifest, encoder, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    config, asked = read_config(encoder, "pretrain"), parse_set(sys.argv[4:])
    channels, size = int(config.data.channels), config.data.image_size
    shared: dict[str, Any] = {
        "data.manifest": str(manifest), "checkpoint": "none", "backbone.name": config.backbone.name,
        "runtime.precision": "bf16", "runtime.layout": "channels_last", "runtime.device": "cpu",
        "training.batch_size": BATCH, "training.epochs": 8,
        **{key: value for key, value in asked.items() if not key.startswith("downsizer.")},
    }  # fmt: skip
    behind = {key: value for key, value in asked.items() if key.startswith("downsizer.")} | {"data.image_size": size}
    untrained = behind | {"downsizer.checkpoint": "none"}
    resolved = load_config(FinetuneConfig, None, shared | untrained)
    assert resolved.downsizer is not None
    network = DownsizedBackbone(Backbone(config.backbone, channels), resolved.backbone, resolved.downsizer)
    if (out / "plain" / "config.yaml").exists():  # begun earlier, at the size found then
        plain = read_config(out / "plain", "finetune").data.image_size
    else:
        plain = plain_size(network, resolved.backbone, channels, size)
    stride = resolved.downsizer.stride
    runs: dict[str, dict[str, Any]] = {
        f"plain resize to {plain} px": {"data.image_size": plain},
        f"learned downsizer, {size} px at stride {stride}": behind | {"downsizer.checkpoint": str(encoder)},
        f"the same, untrained, {size} px at stride {stride}": untrained,
    }
    rows = [
        finetuned(name, out / folder, shared | settings)
        for folder, (name, settings) in zip(("plain", "learned", "untrained"), runs.items(), strict=True)
    ]
    frame = pd.DataFrame(rows)
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "downsizer_deeppcb.csv", index=False, float_format="%.4f", lineterminator="\n")
    print(frame.to_string(index=False, float_format="{:.3f}".format))
    print(
        "one seed; the best epoch was chosen on the same validation boards; the encoder's own training is not counted"
    )


main()
