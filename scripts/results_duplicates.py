"""Write results/audit_duplicates.csv and .json: planted copies that 'ssl-pcb audit duplicates' finds, and what else.

    python scripts/results_duplicates.py [PATH/TO/DEEPPCB]    # about a minute on one core

Copies are turned or mirrored, saved as JPEG of quality 30 to 95, made 0.7 to 1.4 times as bright, or all of it. They
are planted among synthetic boards, each of other patterns, and among whole tested images of DeepPCB's training and
validation boards, one a place. Tiles of such images are the hard case: patterns repeat there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance

from ssl_pcb.audit.copies import Copy, exact_copies
from ssl_pcb.audit.near_copies import near_copies
from ssl_pcb.audit.stored_greys import Greys
from ssl_pcb.audit.symmetries import SYMMETRIES, turned
from ssl_pcb.config.auditing import DuplicatesConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.data.synthetic.sample import render_sample
from ssl_pcb.imaging.tiling import tile_grid
from ssl_pcb.reports.provenance import provenance
from ssl_pcb.reports.run import write_json

RESULTS = Path("results")
BOARDS = ("00041", "13000", "20085", "12000", "12300")
"""DeepPCB's training and validation boards."""
SIDE, TILE = 640, 128
SEEDS = 2101, 2102, 2103
"""Of places and copies. The thresholds, and how pairs are compared, were chosen on others."""

Plant = Callable[[np.random.Generator], dict[str, Any]]


def turn(rng: np.random.Generator) -> dict[str, Any]:
    return {"symmetry": int(rng.integers(1, 8))}


def recompress(rng: np.random.Generator) -> dict[str, Any]:
    return {"quality": int(rng.integers(30, 96))}


def brighten(rng: np.random.Generator) -> dict[str, Any]:
    return {"factor": float(rng.uniform(0.7, 1.4))}


PLANTED: dict[str, tuple[Plant, ...]] = {
    "turned or mirrored": (turn,), "recompressed": (recompress,), "brightened": (brighten,),
    "all of it": (turn, recompress, brighten),
}  # fmt: skip


def save_copy(picture: Image.Image, folder: Path, name: str, changes: dict[str, Any]) -> str:
    """A changed copy; returns its file name."""
    planes = np.moveaxis(np.atleast_3d(np.asarray(picture)), 2, 0)
    pixels = np.moveaxis(turned(planes, changes.get("symmetry", 0)), 0, 2)
    changed = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    changed = ImageEnhance.Brightness(changed).enhance(changes.get("factor", 1.0))
    file = f"{name}.jpg" if "quality" in changes else f"{name}.png"
    changed.save(folder / file, **({"quality": changes["quality"]} if "quality" in changes else {}))
    return file


def synthetic_places(count: int, seed: int) -> Iterator[tuple[Image.Image, str]]:
    """Pictures of boards of different design, and the board's name."""
    for number in range(count):
        image = render_sample(seed, number // 4, number % 4, image_size=256, style="mixed").image
        yield Image.fromarray(image[..., 0] if image.shape[2] == 1 else image), f"s{number // 4}"


def deeppcb_places(folder: Path, a_board: int, seed: int) -> Iterator[tuple[Image.Image, str]]:
    """Tested images, drawn from each board."""
    rng = np.random.default_rng(seed)
    for board in BOARDS:
        files = sorted((folder / "PCBData" / f"group{board}" / board).glob("*_test.jpg"))
        for number in sorted(rng.permutation(len(files))[:a_board]):
            with Image.open(files[number]) as image:
                yield image.convert("L"), board


def plant(places: Iterator[tuple[Image.Image, str]], folder: Path, seed: int) -> pd.DataFrame:
    """Save all places, and for half of them a copy; a row a file: path, place, how it was changed, group and split."""
    rng, rows = np.random.default_rng(seed), []
    kinds = list(PLANTED)
    for place, (picture, board) in enumerate(places):
        picture.save(folder / f"{place}.png")
        rows.append({"path": f"{place}.png", "place": str(place), "change": "", "group": board, "split": "train"})
        if place % 2:
            kind = kinds[place // 2 % len(kinds)]
            changes = {key: value for change in PLANTED[kind] for key, value in change(rng).items()}
            file = save_copy(picture, folder, f"{place}-copy", changes)
            settings = {"change": kind, **changes}
            rows.append({"path": file, "place": str(place), "group": f"{board}-copy", "split": "val", **settings})
    return pd.DataFrame(rows)


def cut(rows: pd.DataFrame) -> pd.DataFrame:
    """The same in tiles; those of a turned copy are of the places where their originals have come to lie."""
    grid = tile_grid(SIDE, SIDE, TILE)
    numbers = np.arange(len(grid)).reshape(SIDE // TILE, -1)
    tiles = []
    for row in rows.to_dict("records"):
        symmetry = row.get("symmetry")
        origin = turned(numbers, 0 if pd.isna(symmetry) else int(symmetry)).ravel()
        for crop, number in zip(grid, origin, strict=True):
            tiles.append({**row, "crop": " ".join(map(str, crop)), "place": f"{row['place']} {number}"})
    return pd.DataFrame(tiles)


def found_in(samples: Samples) -> tuple[list[Copy], dict[str, int]]:
    """What the audit finds, and what it compared."""
    config, most = DuplicatesConfig(), DataConfig().max_pixels
    greys = Greys.of(samples)
    exact = exact_copies(samples, greys, most)
    positions = np.setdiff1d(np.flatnonzero(~greys.flat), [copy.second for copy in exact])
    near = near_copies(samples, greys, positions, config, most)
    counts = {
        "compared": near.compared,
        "alike_but_no_copies": near.alike,
        "plain": near.plain,
        "flat": int(greys.flat.sum()),
    }
    return [*exact, *near.pairs], counts


def judge(name: str, rows: pd.DataFrame, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each kind of copy, and one for all."""
    Manifest.build(rows.astype(object).fillna("").astype(str), folder).write(folder / "m.csv")
    samples, _ = load_samples(DataConfig(manifest=folder / "m.csv", cache=folder / "cache"))
    copies, counts = found_in(samples)
    flat = set(np.flatnonzero(Greys.of(samples).flat).tolist())
    there = {
        pair: set(some["change"]) - {""}
        for _, some in rows.groupby("place")
        for pair in combinations(sorted(set(some.index) - flat), 2)
    }
    named = {(copy.first, copy.second): copy for copy in copies}
    right = {pair for pair in named if pair in there}
    for kind in [*PLANTED, "all"]:
        wanted = {pair for pair, changes in there.items() if kind == "all" or changes == {kind}}
        line = {"data": name, "copies": kind, "samples": len(rows), "planted": len(wanted)}
        line |= {"found": len(wanted & right), "recall": len(wanted & right) / len(wanted)}
        if kind == "all":
            turns = [rows["symmetry"].iloc[pair[1]] for pair in right] if "symmetry" in rows else []
            exact = sum(named[p].symmetry == (0 if pd.isna(t) else int(t)) for p, t in zip(right, turns, strict=True))
            line |= {"named": len(named), "precision": len(right) / len(named), "symmetry_right": exact, **counts}
        yield line
    wrong = [copy for pair, copy in named.items() if pair not in there]
    for copy in sorted(wrong, key=lambda copy: copy.fit.difference)[:5]:
        print(f"  not planted: {rows['path'][copy.first]} and {rows['path'][copy.second]}, {copy.kind}, {copy.fit}")


def main() -> None:
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        sets: dict[str, Callable[[Path], pd.DataFrame]] = {
            "synthetic boards, 256 px": lambda folder: plant(synthetic_places(240, SEEDS[0]), folder, SEEDS[0]),
        }
        if len(sys.argv) > 1:
            real = Path(sys.argv[1])
            sets["DeepPCB, whole images"] = lambda folder: plant(deeppcb_places(real, 60, SEEDS[1]), folder, SEEDS[1])
            sets["DeepPCB, tiles (patterns repeat)"] = lambda folder: cut(
                plant(deeppcb_places(real, 16, SEEDS[2]), folder, SEEDS[2])
            )
        for number, (name, make) in enumerate(sets.items()):
            folder = Path(work) / str(number)
            folder.mkdir()
            lines += judge(name, make(folder), folder)
    frame = pd.DataFrame(lines)
    made = provenance()  # before a file of the repository changes
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "audit_duplicates.csv", index=False, float_format="%.4f", lineterminator="\n")
    settings = {"symmetries": list(SYMMETRIES), "config": DuplicatesConfig().model_dump(mode="json")}
    rows = json.loads(frame.to_json(orient="records"))
    write_json(RESULTS / "audit_duplicates.json", {"rows": rows, **settings, **made})
    print(frame.to_string(index=False))


main()
