"""Measure what an epoch costs, and where data or gathering would become the limit; write results/costs.json and .md.

    python scripts/bench_costs.py       # about ten minutes on 2 cores

docs/costs.md says how to read the figures. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from bench_report import Row, keep
from bench_tools import make_images, write_manifest
from bench_train import ours
from lightly.loss import NTXentLoss
from torch import distributed

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.loaders import ArrayDataset, batches
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.shards.encode import Kind
from ssl_pcb.data.shards.pool import open_shards
from ssl_pcb.data.shards.write import write_shards
from ssl_pcb.data.store import open_store

SIZES = (64, 128, 256)
KINDS: tuple[Kind, ...] = ("png", "jpg")
EMBEDDING = 128
"""Numbers of an embedding, as SimCLR's head has by default."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"training": training_part, "reading": reading_part, "loss": loss_part, "gather": gather_part}
    parser.add_argument("--part", choices=parts, help="only this one")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for costs.json and costs.md")
    arguments = parser.parse_args()
    for name in [arguments.part] if arguments.part else parts:
        with tempfile.TemporaryDirectory(prefix="bench-costs-") as work:
            os.environ["SSL_PCB_CACHE"] = str(Path(work) / "cache")
            keep(name, parts[name](Path(work)), arguments.out, "costs")


def training_part(work: Path) -> list[Row]:
    """SimCLR at several sizes, as the command line runs it."""
    rows: list[Row] = []
    for size in SIZES:
        folder = work / str(size)
        make_images(folder / "pictures", 480, size, "png")
        write_manifest(folder / "pictures", 480, folder / "m.csv")
        rate = ours("pretrain", folder, size=size)
        rows.append(seconds_of(f"SimCLR, resnet18, {size} px: seconds for 1,000 images", rate))
    return rows


def reading_part(work: Path) -> list[Row]:
    """A store that is packed, and shards of the same pictures, on one core."""
    rows: list[Row] = []
    every = os.sched_getaffinity(0)
    for size in SIZES:
        folder, count = work / str(size), 2000
        make_images(folder / "pictures", count, size, "png")
        manifest = write_manifest(folder / "pictures", count, folder / "m.csv")
        config = DataConfig(image_size=size, cache=folder / "cache")
        store, config = open_store(manifest, config)
        order = np.random.default_rng(0).permutation(len(store.rows))
        data = ArrayDataset(store.pixels, np.zeros(len(store.pixels), np.int64), store.rows)
        ways: dict[str, Callable[[], int]] = {
            "from a store": lambda data=data, order=order: drain(batches(data, order, 64, drop_last=True))  # type: ignore[misc]
        }
        for kind in KINDS:
            write_shards(manifest, "m.csv", folder / kind, config, kind=kind)
            pool = open_shards(str(folder / kind / "index.json"), config, 0, use_unsplit=False)
            ways[f"from {kind} shards"] = lambda pool=pool: drain(pool.batches(0, 64))  # type: ignore[misc]
        torch.set_num_threads(1)
        os.sched_setaffinity(0, {next(iter(every))})  # shards are decoded by several threads where there are cores
        for way, run in ways.items():
            rows.append(seconds_of(f"reading {way}, {size} px colour, one core: seconds for 1,000 images", rate(run)))
        os.sched_setaffinity(0, every)
        torch.set_num_threads(cores())
    return rows


def rate(run: Callable[[], int], rounds: int = 3) -> float:
    """Median images a second."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        found.append(run() / (time.perf_counter() - began))
    return median(found)


def drain(found: object) -> int:
    return sum(len(batch.labels) for batch in found)  # type: ignore[attr-defined]


def loss_part(work: Path) -> list[Row]:
    """NT-Xent compares all views of the global batch with all."""
    torch.set_num_threads(cores())
    rows: list[Row] = []
    for batch in (256, 1024, 4096):
        first, second = (torch.randn(batch, EMBEDDING, requires_grad=True) for _ in range(2))
        loss = NTXentLoss(0.2)
        found = rate(lambda loss=loss, first=first, second=second: backward(loss, first, second))  # type: ignore[misc]
        rows.append(seconds_of(f"NT-Xent, forward and backward, batch {batch:,}: seconds for 1,000 images", found))
    return rows


def backward(loss: NTXentLoss, first: torch.Tensor, second: torch.Tensor) -> int:
    loss(first, second).backward()
    return len(first)


def gather_part(work: Path) -> list[Row]:
    """Embeddings and gradients between two processes of one core each, through gloo."""
    file = work / "meeting"
    context = torch.multiprocessing.get_context("spawn")
    rows: list[Row] = []
    found = context.Queue()
    others = [context.Process(target=_gather, args=(rank, file, found)) for rank in range(2)]
    for process in others:
        process.start()
    for name, seconds in found.get(timeout=120):
        rows.append({"name": name, "value": seconds, "detail": "median of 20, two processes, gloo"})
    for process in others:
        process.join()
    return rows


def _gather(rank: int, file: Path, found: torch.multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{file}", rank=rank, world_size=2)
    rows = []
    for batch in (256, 1024, 4096):
        mine = torch.randn(batch, EMBEDDING)  # two views of half the global batch
        into = [torch.empty_like(mine) for _ in range(2)]
        seconds = _seconds(lambda into=into, mine=mine: distributed.all_gather(into, mine))  # type: ignore[misc]
        rows.append((f"gathering the embeddings of a global batch of {batch:,}, both views: seconds", seconds))
    gradients = torch.randn(11_700_000)
    rows.append(("averaging the gradients of resnet18: seconds", _seconds(lambda: distributed.all_reduce(gradients))))
    if rank == 0:
        found.put(rows)
    distributed.barrier()
    distributed.destroy_process_group()


def _seconds(run: Callable[[], object]) -> float:
    found = []
    for _ in range(20):
        distributed.barrier()
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return median(found)


def seconds_of(name: str, rate: float) -> Row:
    return {"name": name, "value": 1000 / rate, "detail": f"{rate:.0f} images/s"}


if __name__ == "__main__":
    main()
