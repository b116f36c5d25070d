"""What scripts/bench_data.py measures with: many pictures made quickly, and the memory of a process tree."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.synthetic.sample import render_sample

PAINTED = 240
BOARDS = 40
SPLITS = ("train",) * 8 + ("val", "test")


def make_images(folder: Path, count: int, size: int, suffix: str) -> None:
    """Write ``count`` different colour pictures of boards: a few painted ones, turned and shifted at random."""
    folder.mkdir(parents=True)
    painted = min(PAINTED, max(8, count // 20))
    with ProcessPoolExecutor(cores(), get_context("spawn")) as pool:
        pictures = list(pool.map(_paint, range(painted), [size] * painted, chunksize=4))
        np.save(folder / "pictures.npy", np.stack(pictures))
        parts = np.array_split(np.arange(count), max(1, count // 500))
        list(pool.map(_vary, [folder] * len(parts), parts, [suffix] * len(parts)))
    (folder / "pictures.npy").unlink()


def _paint(number: int, size: int) -> NDArray[np.uint8]:
    return render_sample(0, number % BOARDS, number, image_size=size, style="colour").image


def _vary(folder: Path, numbers: NDArray[np.int64], suffix: str) -> None:
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    options = {"quality": 90} if suffix == "jpg" else {"compress_level": 3}
    for number in numbers.tolist():
        rng = np.random.default_rng(number)
        picture = np.rot90(pictures[rng.integers(len(pictures))], rng.integers(4))
        picture = np.roll(picture, rng.integers(0, picture.shape[0], 2), (0, 1))
        picture[0, 0] = number >> 16, number >> 8 & 255, number & 255  # no two alike
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{number:06d}.{suffix}", **options)


def write_manifest(folder: Path, count: int, file: Path, crops: Sequence[str] = ("",)) -> Manifest:
    """A manifest of the first ``count`` pictures of ``folder``, by board in train, val and test."""
    files = sorted(folder.iterdir())[:count]
    rows = [
        {
            "path": str(path), "crop": crop, "label": ("NonDefective", "Defective")[number % 3 == 0],
            "group": f"board {number % BOARDS:02d}", "split": SPLITS[number % BOARDS % len(SPLITS)],
        }
        for number, path in enumerate(files)
        for crop in crops
    ]  # fmt: skip
    manifest = Manifest.build(rows, folder)
    manifest.write(file)
    return Manifest.read(file)


def peak_private(command: Sequence[str | Path], every: float = 0.02) -> float:
    """Run ``command``; the most MiB of private memory that it and its descendants held together.

    RssAnon + RssShmem of /proc/PID/status, summed over all processes each time.

    Raises:
        RuntimeError: If the command fails.
    """
    peak = 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *map(str, command)], stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, sum(_private(pid) for pid in _tree(process.pid)))
            time.sleep(every)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{said.read().decode()[-3000:]}")
    return peak / 1024


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:  # grows while it is walked
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:  # it has ended meanwhile
            continue
    return found


def _private(pid: int) -> int:
    """KiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
