"""Measure training against what a user would pick instead, and write results/performance.json and performance.md.

    python scripts/bench_train.py                    # everything; about an hour on 2 cores
    python scripts/bench_train.py --part pretrain    # or finetune, features, views, auto, compile, ranks, probes ..
    python scripts/bench_train.py --lightly-train ENVIRONMENT/bin/python    # with lightly-train, where it is installed

Contenders run one process each, in turn, several rounds; a ratio is that of their medians. Rates are read after the
first steps. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import product
from pathlib import Path

import numpy as np
import torch
from bench_contenders import BACKBONE, BATCH, LARGE, LARGE_BACKBONE, LARGE_BATCH, SIZE, STEPS
from bench_report import Row, in_turn, keep
from bench_tools import make_images, write_manifest

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.loaders import ArrayDataset, images_at_once
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.store import open_store
from ssl_pcb.evaluation.features import extract_features
from ssl_pcb.evaluation.neighbours import knn_scores
from ssl_pcb.evaluation.probes import label_fraction_indices, logistic_probe
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.training.fastest import LAYOUTS, PRECISIONS, Workload, resolve_runtime
from ssl_pcb.training.processes import alone
from ssl_pcb.training.runtime import memory_format

ROUNDS = 3
HERE = Path(__file__).parent
STILL = [
    "view.geometry.symmetries=false",
    *(f"view.geometry.{key}=0" for key in ("rotation", "translation", "shrink")),
    *(f"view.photometry.{key}=0" for key in ("brightness", "contrast", "gamma", "blur", "noise")),
]
"""Settings that turn every augmentation off."""

KEEPING = {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296"}
"""By which glibc keeps freed memory for the next step, in place of clearing fresh pages in each."""

Contender = Callable[[], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[Path], list[Row]]] = {
        "pretrain": lambda work: pretrain_part(work, arguments.lightly_train),
        "finetune": finetune_part, "features": features_part, "views": views_part,
        "auto": auto_part, "compile": compile_part, "ranks": ranks_part, "probes": probes_part, "startup": startup_part,
    }  # fmt: skip
    parser.add_argument("--part", choices=parts, help="only this one")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for performance.json and .md")
    parser.add_argument("--lightly-train", help="Python of an environment that has lightly-train, to race it as well")
    parser.add_argument("--work", type=Path, help="folder for pictures and runs; emptied at the end")
    arguments = parser.parse_args()
    if arguments.work and not arguments.work.is_dir():
        parser.error(f"--work: there is no folder {arguments.work}")
    for name in [arguments.part] if arguments.part else parts:
        with tempfile.TemporaryDirectory(prefix="bench-train-", dir=arguments.work) as work:
            os.environ["SSL_PCB_CACHE"] = str(Path(work) / "cache")  # what was measured before is not remembered
            keep(name, parts[name](Path(work)), arguments.out, "performance")


def pretrain_part(work: Path, lightly_train: str | None) -> list[Row]:
    """SimCLR: ours, the bare step, lightly's own recipe, and lightly-train if ``lightly_train`` is a Python with it."""
    count = BATCH * (STEPS + 2) * 10 // 8  # an epoch of the training split
    make_images(work / "pictures", count, SIZE, "png")
    write_manifest(work / "pictures", count, work / "m.csv")
    grid = {each: contender("bare", *each)() for each in product(PRECISIONS, LAYOUTS)}
    best = max(grid, key=lambda each: grid[each])
    contenders = {
        "ours": lambda: ours("pretrain", work),
        "still": lambda: ours("pretrain", work, *STILL),
        "keeping": lambda: ours("pretrain", work, environment=KEEPING),
        "bare": contender("bare", *best),
        "lightly": contender("lightly", work / "pictures"),
    }
    if lightly_train:
        contenders["lightly-train"] = contender("lightly-train", work / "pictures", python=lightly_train)
    rates = medians(contenders)
    what = f"{BACKBONE}, {SIZE} px, batch {BATCH}"
    return [
        ratio(f"SimCLR pretraining over its bare step ({what}; {' '.join(best)})", rates, "ours", "bare", at_least=0.9),
        ratio("the same with augmentation off", rates, "still", "bare", at_least=0.97),
        ratio(f"SimCLR pretraining over lightly's documented recipe ({what})", rates, "ours", "lightly", at_least=2.5),
        ratio("the ceiling of that: the bare step over lightly's recipe", rates, "bare", "lightly"),
        ratio("SimCLR pretraining that keeps freed memory, over its bare step that does not", rates, "keeping", "bare"),
        ratio("the same over lightly's documented recipe", rates, "keeping", "lightly"),
        *(
            [ratio("SimCLR pretraining over lightly-train's, in its own settings", rates, "ours", "lightly-train")]
            if lightly_train else []
        ),
        *(
            {"name": f"bare step, {' '.join(each)}, over the best", "value": rate / max(grid.values()),
             "detail": f"{rate:.1f} images/s, once"}
            for each, rate in grid.items()
        ),
    ]  # fmt: skip


def finetune_part(work: Path) -> list[Row]:
    """Finetuning beside the loop of many tutorials."""
    count = LARGE_BATCH * (STEPS // 2 + 1) * 10 // 8
    make_images(work / "pictures", count, 600, "png")
    manifest = write_manifest(work / "pictures", count, work / "m.csv")
    for path, label in zip(manifest.frame["path"], manifest.frame["label"], strict=True):
        (work / "classes" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest.root / path, work / "classes" / label)
    rates = medians(
        {
            "ours": lambda: ours("finetune", work, "checkpoint=none", "resamples=100"),
            "loop": contender("image-folder", work / "classes"),
        }
    )
    what = f"{LARGE_BACKBONE}, {LARGE} px, batch {LARGE_BATCH}"
    name = f"finetuning over a loop of torchvision's ImageFolder, Resize, ToTensor in fp32 ({what})"
    return [ratio(name, rates, "ours", "loop", at_least=2)]


def features_part(work: Path) -> list[Row]:
    """What linear-eval does of an image, beside the network's forward pass on a batch that is always there."""
    make_images(work / "pictures", 1024, SIZE, "png")
    store, _ = open_store(write_manifest(work / "pictures", 1024, work / "m.csv"), DataConfig())
    backbone = Backbone(BackboneConfig(name=BACKBONE), 3).eval()
    config = resolve_runtime(RuntimeConfig(), Workload.of(backbone, SIZE, training=False))
    fabric = alone(config)
    backbone.to(fabric.device, memory_format=memory_format(config))  # type: ignore[call-overload]
    dataset = ArrayDataset(store.pixels, np.zeros(len(store.rows), np.int64), store.rows)
    count = images_at_once(SIZE, fabric.device)
    images = torch.rand(count, 3, SIZE, SIZE, device=fabric.device).to(memory_format=memory_format(config))

    @torch.no_grad()
    def bare() -> None:
        for _ in range(len(store.rows) // count):
            with fabric.autocast():
                backbone(images).float().cpu()

    seconds = in_turn(lambda: extract_features(backbone, dataset, SIZE, fabric), bare)
    rates = {"ours": len(store.rows) / seconds[0], "bare": len(store.rows) / seconds[1]}
    what = f"{BACKBONE}, {SIZE} px, {config.precision} {config.layout}"
    return [ratio(f"features for linear-eval over a bare forward pass ({what})", rates, "ours", "bare", at_least=0.95)]


def views_part(work: Path) -> list[Row]:
    """A view of each image: ours of the batch, torchvision's v2 one by one in workers, kornia's if it is there."""
    from bench_views import kornia_views, torchvision_views

    views = ViewMaker(ViewConfig(), SIZE)
    side = SIZE + 2 * round(SIZE * DataConfig().margin)
    pixels = torch.randint(0, 256, (256, 3, side, side), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    torch.set_num_threads(cores())
    ways = {"ours": lambda: views(pixels, generator), "torchvision": torchvision_views(pixels, SIZE, cores())}
    if kornia := kornia_views(pixels, SIZE):
        ways["kornia"] = kornia
    rates = dict(zip(ways, (len(pixels) / seconds for seconds in in_turn(*ways.values())), strict=True))
    return [
        ratio(f"views of {SIZE} px colour, ours over {other}", rates, "ours", other)
        for other in ways if other != "ours"
    ]  # fmt: skip


def auto_part(work: Path) -> list[Row]:
    """What ``auto`` picks, against every way measured longer; and how long it takes to pick."""
    rows: list[Row] = []
    usual = [(name, SIZE) for name in ("resnet18", "densenet121", "efficientnet_b3", "resnext50_32x4d")]
    for name, size in [*usual, (LARGE_BACKBONE, LARGE)]:
        backbone = Backbone(BackboneConfig(name=name), 3)
        began = time.perf_counter()
        picked = resolve_runtime(RuntimeConfig(), Workload.of(backbone, size))
        took = time.perf_counter() - began
        seconds = {
            each: each_way(backbone, size, RuntimeConfig(precision=each[0], layout=each[1], device=picked.device))
            for each in product(PRECISIONS, LAYOUTS)
        }
        name = f"{name} at {size} px"
        best = min(seconds, key=lambda each: seconds[each])
        mine = seconds[picked.precision, picked.layout]
        rows += [
            {"name": f"rate of what auto picks over the best of the grid, {name}", "value": seconds[best] / mine,
             "at_least": 0.95, "detail": f"picked {picked.precision} {picked.layout}, best {' '.join(best)}"},
            {"name": f"seconds it takes to pick, {name}", "value": took, "at_most": 10.0, "detail": "the first time"},
        ]  # fmt: skip
    return rows


def each_way(backbone: Backbone, size: int, config: RuntimeConfig) -> float:
    """Least seconds of a training step in one precision and layout, on a larger batch than auto measures."""
    network = backbone.to(config.device, memory_format=memory_format(config)).train()  # type: ignore[call-overload]
    count = 32 if size == SIZE else LARGE_BATCH
    images = torch.rand(count, 3, size, size, device=config.device).to(memory_format=memory_format(config))

    def step() -> float:
        began = time.perf_counter()
        with torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bf16"):
            loss = network(images).float().square().mean()
        loss.backward()
        network.zero_grad()
        if images.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return min([step() for _ in range(5)][1:])


def compile_part(work: Path) -> list[Row]:
    """The compiled network beside the same as it comes, once both are warm."""
    count = BATCH * (STEPS + 2) * 10 // 8
    make_images(work / "pictures", count, SIZE, "png")
    write_manifest(work / "pictures", count, work / "m.csv")
    rates = medians({name: lambda name=name: ours("pretrain", work, f"compile={name}") for name in ("true", "false")})  # type: ignore[misc]
    name = f"SimCLR pretraining with its network compiled, over the same as it comes ({BACKBONE}, {SIZE} px)"
    return [ratio(name, rates, "true", "false")]


def ranks_part(work: Path) -> list[Row]:
    """Two processes of half the threads beside one of half the threads, and beside one of all."""
    count = BATCH * (STEPS + 2) * 10 // 8
    make_images(work / "pictures", count, SIZE, "png")
    write_manifest(work / "pictures", count, work / "m.csv")
    half = max(1, cores() // 2)
    common = ["backbone.norm=group"]
    rates = medians(
        {
            "two": lambda: ours("pretrain", work, *common, "runtime.devices=2", f"runtime.threads={half}"),
            "half": lambda: ours("pretrain", work, *common, f"runtime.threads={half}"),
            "all": lambda: ours("pretrain", work, *common, f"runtime.threads={cores()}"),
        }
    )
    what = f"SimCLR, {BACKBONE} with group norm, {SIZE} px, global batch {BATCH}"
    return [
        ratio(f"two processes of {half} thread(s) over one of {half} ({what})", rates, "two", "half"),
        ratio(f"the same over one of {cores()} threads", rates, "two", "all"),
    ]


def probes_part(work: Path) -> list[Row]:
    """Logistic regression over its grid and kNN, at every share of the labels."""
    config, rng = LinearEvalConfig(), np.random.default_rng(0)
    counts = {"train": 30_000, "val": 5000, "test": 5000}
    labels = {split: (rng.random(count) < 0.3).astype(np.int64) for split, count in counts.items()}
    # Correlated, as a network's features are: that decides how many iterations a fit takes.
    mixing = rng.normal(size=(512, 512)) * np.geomspace(1, 0.01, 512)
    features = {
        split: ((rng.normal(size=(len(y), 512)) + 0.15 * y[:, None]) @ mixing).astype(np.float32)
        for split, y in labels.items()
    }
    began = time.perf_counter()
    for fraction in config.fractions:
        train = label_fraction_indices(labels["train"], fraction, 0)
        x, y = features["train"][train], labels["train"][train]
        probe = logistic_probe(x, y, features["val"], labels["val"], config.cs)
        for split in ("val", "test"):
            probe.scores(features[split])
            knn_scores(x, y, features[split], config.ks)
    seconds = time.perf_counter() - began
    detail = (
        f"{len(config.cs)} values of C, {len(config.ks)} of k, {len(config.fractions)} shares; 5,000 rows judged twice"
    )
    return [
        {"name": "seconds of the probes on 30,000 x 512 features", "value": seconds, "below": 60.0, "detail": detail}
    ]


def startup_part(work: Path) -> list[Row]:
    """What a user waits for before anything is learned."""
    make_images(work / "pictures", 80, SIZE, "png")  # of which 64 are trained on: one step
    write_manifest(work / "pictures", 80, work / "m.csv")
    command = [sys.executable, "-m", "ssl_pcb"]
    one = [*command, "pretrain", "--data", work / "m.csv", "--backbone", BACKBONE, "--batch-size", str(BATCH),
           "--epochs", "1", "--precision", "bf16", "--set", "runtime.layout=channels_last"]  # fmt: skip

    def run(*words: object) -> None:
        subprocess.run([str(word) for word in words], check=True, capture_output=True)

    run(*one, "--out", work / "first")  # packs
    numbers = iter(range(100))
    firsts = []

    def train() -> None:
        out, began = work / f"run{next(numbers)}", datetime.now()
        run(*one, "--out", out)
        # Training begins when its cost has been announced.
        [said] = [line for line in (out / "log.txt").read_text().splitlines() if "expected: about" in line]
        [epoch] = (out / "metrics.jsonl").read_text().splitlines()
        ready = datetime.fromisoformat(said[:23].replace(",", "."))
        firsts.append((ready - began).total_seconds() + json.loads(epoch)["seconds"])

    bare, whole = in_turn(lambda: run(*command, "--help"), train)
    return [
        {"name": "seconds of ssl-pcb --help", "value": bare, "at_most": 0.35, "detail": "median of 5"},
        {"name": f"seconds until the first step is done ({BACKBONE}, {SIZE} px, batch {BATCH}), packed before",
         "value": statistics.median(firsts), "at_most": 10.0,
         "detail": f"imports, checks, trial; the whole run, looking at the result and saving included, {whole:.1f} s"},
    ]  # fmt: skip


def ours(
    stage: str, work: Path, *settings: str, size: int | None = None, environment: Mapping[str, str] | None = None
) -> float:
    """Images a second of the last of two epochs, as the command line trains."""
    usual, batch, name = (SIZE, BATCH, BACKBONE) if stage == "pretrain" else (LARGE, LARGE_BATCH, LARGE_BACKBONE)
    out = Path(tempfile.mkdtemp(dir=work)) / "run"
    command = [sys.executable, "-m", "ssl_pcb", stage, "--data", work / "m.csv", "--out", out,
               "--image-size", size or usual, "--batch-size", batch, "--backbone", name, "--epochs", 2,
               *(word for setting in settings for word in ("--set", setting))]  # fmt: skip
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{stage} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    *_, last = (out / "metrics.jsonl").read_text().splitlines()
    return float(json.loads(last)["samples_per_second"])


def contender(*arguments: object, python: str = sys.executable) -> Contender:
    """Images a second of one of scripts/bench_contenders.py."""

    def run() -> float:
        command = [python, HERE / "bench_contenders.py", *arguments]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}")
        return float(json.loads(done.stdout.splitlines()[-1])["images_per_second"])

    return run


def medians(contenders: dict[str, Contender]) -> dict[str, float]:
    """Median rate of each, taken in turn."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            rates[name].append(run())
            print(f"{name}: {rates[name][-1]:.1f} images/s", flush=True)
    return {name: statistics.median(found) for name, found in rates.items()}


def ratio(name: str, rates: dict[str, float], one: str, other: str, **target: float) -> Row:
    detail = f"{rates[one]:.1f} against {rates[other]:.1f} images/s"
    return {"name": name, "value": rates[one] / rates[other], "detail": detail, **target}


if __name__ == "__main__":
    main()
