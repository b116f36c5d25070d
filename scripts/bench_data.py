"""Measure the data path, print what it reaches beside its targets, and write results/data.json and data.md.

    python scripts/bench_data.py                   # everything; an hour or so on 2 cores, 12 GB of disk in --work
    python scripts/bench_data.py --part packing    # or reads, step, memory; the other parts' results are kept

Both sides of a ratio are measured in turn in the same run, on files that the page cache holds, and their medians
compared. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_report import Row, in_turn, keep
from bench_tools import make_images, peak_private, write_manifest
from PIL import Image

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.data import packing
from ssl_pcb.data.loaders import ArrayDataset, batches
from ssl_pcb.data.manifest import Manifest, parse_boxes
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.store import Store, open_store
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.training.optim import build_optimizer

BATCH = 128
NETWORK = "test_resnet"
"""Network of the memory part: small, so that what the data needs is not lost beside it."""
SETS = {"128 px PNG": (128, "png", 20_000, 0), "640 px JPEG in 25 tiles": (640, "jpg", 1000, 128),
        "600 px PNG": (600, "png", 1000, 0)}  # fmt: skip
"""Pictures of the packing part: side, format, number, side of a tile."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[Path, int], list[Row]]] = {
        "packing": packing_part, "reads": reads_part, "step": step_part, "memory": memory_part,
    }  # fmt: skip
    parser.add_argument("--part", choices=parts, help="only this one")
    parser.add_argument("--images", type=int, default=100_000, help="the larger set of the memory part")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for data.json and data.md")
    parser.add_argument("--work", type=Path, help="folder on a real disk for pictures and stores; emptied at the end")
    parser.add_argument("--bare-step", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare_step:
        return bare_step()
    for name in [arguments.part] if arguments.part else parts:
        with tempfile.TemporaryDirectory(prefix="bench-data-", dir=arguments.work) as work:
            keep(name, parts[name](Path(work), arguments.images), arguments.out, "data")


def packing_part(work: Path, images: int) -> list[Row]:
    """Packing beside Pillow's bare decode and resize: in one process, and over all cores with all that it takes."""
    rows = []
    for name, (size, suffix, count, tile) in SETS.items():
        make_images(work / "pictures", count, size, suffix)
        places = range(0, size - tile + 1, tile) if tile else ()
        crops = [f"{x} {y} {x + tile} {y + tile}" for y in places for x in places] or [""]
        rows += packing_rows(name, write_manifest(work / "pictures", count, work / "m.csv", crops), crops, work)
        shutil.rmtree(work / "pictures")
    return rows


def packing_rows(name: str, manifest: Manifest, crops: list[str], work: Path) -> list[Row]:
    names = manifest.frame["path"].unique()
    part = manifest.select(manifest.frame["path"].isin(names[: len(names) // 3]))
    files, few = paths(manifest), paths(part)
    with ProcessPoolExecutor(cores(), get_context("spawn")) as pool:
        shares = [share.tolist() for share in np.array_split(files, 8 * cores())]
        list(pool.map(bare, [few[:4]] * 2 * cores(), [crops] * 2 * cores()))  # so that starting does not count
        bare_one, copy_one, ours_one, bare_all, ours_all = in_turn(
            lambda: bare(few, crops),
            lambda: bare(few, crops, resize=False),
            lambda: packed(part, work / "cache", alone=True),
            lambda: list(pool.map(bare, shares, [crops] * len(shares))),
            lambda: packed(manifest, work / "cache", alone=False),
        )

    def row(scope: str, count: int, ours: float, theirs: float, what: str = "resize", **target: float) -> Row:
        measure = f"packing, {name}, {scope}: share of the rate of Pillow's bare decode and {what}"
        detail = f"{count / ours:.0f} against {count / theirs:.0f} source images/s"
        return {"name": measure, "value": theirs / ours, "detail": detail, **target}

    rows = [
        row("one core", len(few), ours_one, bare_one, at_least=0.8),
        row("all cores", len(files), ours_all, bare_all, at_least=0.8),
    ]
    if len(crops) > 1:
        rows.append(row("one core", len(few), ours_one, copy_one, "crop (scale 1, nothing resized, no ring mirrored)"))
    return rows


def paths(manifest: Manifest) -> list[str]:
    return [str(manifest.root / path) for path in manifest.frame["path"].unique()]


def bare(files: list[str], crops: list[str], resize: bool = True) -> None:
    """The least that packing must do: Pillow opens, decodes and resizes; no hash, no check, no array, no file.

    Each window is what the store holds of the sample, its ring included as far as the picture goes. At scale 1
    there would be nothing to resize: without ``resize`` each window is copied, black where the picture ends.
    """
    boxes = [parse_boxes(crop)[0] if crop else None for crop in crops]
    config = DataConfig()
    ring = round(config.margin * config.image_size)
    for file in files:
        with Image.open(file) as picture:
            picture.load()
            for box in boxes:
                side = config.image_size + (2 * ring if box else 0)
                x1, y1, x2, y2 = box or (0, 0, *picture.size)
                edge = ring * (x2 - x1) / config.image_size if box else 0
                if not resize:
                    picture.crop((round(x1 - edge), round(y1 - edge), round(x2 + edge), round(y2 + edge)))
                    continue
                inside = (max(x1 - edge, 0), max(y1 - edge, 0), min(x2 + edge, picture.width),
                          min(y2 + edge, picture.height))  # fmt: skip
                picture.resize((side, side), Image.Resampling.BILINEAR, box=inside)


def packed(manifest: Manifest, cache: Path, *, alone: bool) -> None:
    """All of a first ``open_store``: looking at the files, starting processes, writing, opening."""
    shutil.rmtree(cache, ignore_errors=True)
    before, packing.ALONE_BELOW = packing.ALONE_BELOW, 1 << 60 if alone else 0
    try:
        open_store(manifest, DataConfig(cache=cache))
    finally:
        packing.ALONE_BELOW = before


def reads_part(work: Path, images: int) -> list[Row]:
    """Whole batches in random order beside the same in the order of the file, on one core."""
    store = packed_store(work, 20_000)
    torch.set_num_threads(1)
    numbers = np.random.default_rng(0).permutation(len(store.rows))

    def read(pixels: Any, rows: Any) -> None:
        data = ArrayDataset(pixels, np.zeros(len(pixels), np.int64), rows)
        for _ in batches(data, np.arange(len(rows)), BATCH, drop_last=True):
            pass  # a batch is a copy: every byte of it has been touched

    def fresh() -> Any:
        return np.load(store.folder / "pixels.npy", mmap_mode="r", allow_pickle=False)

    read(store.pixels, store.rows)  # every page is mapped and touched from here on
    seconds = in_turn(
        lambda: read(store.pixels, store.rows),
        lambda: read(store.pixels, numbers),
        lambda: read(fresh(), store.rows),
        lambda: read(fresh(), numbers),
    )
    size = store.pixels.nbytes / 1e9

    def row(name: str, sequential: int, **target: float) -> Row:
        one, other = seconds[sequential], seconds[sequential + 1]
        detail = f"{size / other:.1f} against {size / one:.1f} GB/s on one core"
        return {"name": name, "value": one / other, "detail": detail, **target}

    return [
        row("random reads of a mapped and touched store, share of the sequential rate", 0, at_least=0.6),
        row("the same, each time through a new mapping whose pages are in the page cache only", 2),
    ]


def step_part(work: Path, images: int) -> list[Row]:
    """Fetching a batch beside SimCLR's training step with resnet18 at 128 px."""
    store = packed_store(work, 1_000)
    torch.set_num_threads(cores())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = PretrainConfig()
    objective = build_objective(
        config.method, Backbone(config.backbone, 3), ViewMaker(config.view, store.spec.size)
    ).to(device)
    optimizer = build_optimizer(config.optimizer, objective, BATCH)
    data = ArrayDataset(store.pixels, np.zeros(len(store.pixels), np.int64), store.rows)
    order = np.random.default_rng(0).permutation(len(store.rows))
    generator = torch.Generator(device).manual_seed(0)
    times: dict[str, list[float]] = {"fetch": [], "step": []}
    began = time.perf_counter()
    for number, batch in enumerate(batches(data, order, BATCH, drop_last=True)):
        here = batch.to(device)
        fetched = wait(device)
        objective(here, generator).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        done = wait(device)
        if number >= 1:
            times["fetch"].append(fetched - began)
            times["step"].append(done - began)
        if number == 5:
            break
        began = time.perf_counter()
    fetch, step = (float(np.median(times[name])) for name in ("fetch", "step"))
    return [
        {
            "name": f"data path's share of a SimCLR step (resnet18, 128 px, batch {BATCH}, fp32, {device.type})",
            "value": fetch / step, "at_most": 0.05,
            "detail": f"{fetch * 1e3:.1f} ms of {step * 1e3:.0f} ms",
        }
    ]  # fmt: skip


def wait(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def memory_part(work: Path, images: int) -> list[Row]:
    """Peak private memory of pretraining, packing included, on few and on many images, and of the bare step."""
    make_images(work / "pictures", images, 128, "png")
    peaks = {}
    for count in (1000, images):
        write_manifest(work / "pictures", count, work / f"{count}.csv")
        peaks[count] = peak_private(
            ["-m", "ssl_pcb", "pretrain", "--data", work / f"{count}.csv", "--out", work / f"run{count}",
             "--backbone", NETWORK, "--epochs", "1", "--batch-size", str(BATCH), "--precision", "fp32",
             "--device", "cpu", "--set", "runtime.layout=contiguous", "--set", f"data.cache={work / 'cache'}"]
        )  # fmt: skip
    bare = peak_private([__file__, "--bare-step"])
    few, many = peaks[1000], peaks[images]
    return [
        {
            "name": f"peak private memory of pretraining ({NETWORK}), {images:,} images over 1,000 images",
            "value": many / few, "below": 1.05, "detail": f"{many:.0f} against {few:.0f} MiB",
        },
        {
            "name": f"the same on {images:,} images, MiB above the bare training step on a resident batch",
            "value": many - bare, "at_most": 400.0, "detail": f"{many:.0f} against {bare:.0f} MiB",
        },
    ]  # fmt: skip


def bare_step() -> None:
    """Steps of the same network, head, loss and batch with libraries alone, on two views that are always there."""
    import timm
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead

    method = PretrainConfig().method
    network = timm.create_model(NETWORK, num_classes=0)
    head = SimCLRProjectionHead(network.num_features, method.hidden_dim, method.output_dim)
    loss = NTXentLoss(method.temperature)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()])
    views = torch.rand(2 * BATCH, 3, 128, 128)
    for _ in range(30):
        first, second = head(network(views)).chunk(2)
        loss(first, second).backward()
        optimizer.step()
        optimizer.zero_grad()


def packed_store(work: Path, count: int) -> Store:
    make_images(work / "pictures", count, 128, "png")
    return open_store(write_manifest(work / "pictures", count, work / "m.csv"), DataConfig(cache=work / "cache"))[0]


if __name__ == "__main__":
    main()
