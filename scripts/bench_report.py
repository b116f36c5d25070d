"""How the benchmarks measure in turn, and how they write down what they found."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_pcb.data.files import whole_file
from ssl_pcb.data.parallel import cores
from ssl_pcb.training.runtime import processor

ROUNDS = 5
PACKAGES = ("torch", "torchvision", "lightly", "pillow")

Row = dict[str, Any]
"""A measure: name, value, detail, and the target as at_least, at_most or below if there is one."""


def in_turn(*ways: Callable[[], object]) -> list[float]:
    """Median seconds of each way, taken in turn so that a busy moment meets all alike."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for taken, way in zip(seconds, ways, strict=True):
            began = time.perf_counter()
            way()
            taken.append(time.perf_counter() - began)
    return [float(np.median(taken)) for taken in seconds]


def _sentence(row: Row) -> str:
    return f"{row['name']}: {_shown(row)} ({_target(row) or 'no target'}; {row['detail']}) {_verdict(row)}".rstrip()


def _shown(row: Row) -> str:
    return f"{row['value']:.0f}" if abs(row["value"]) >= 10 else f"{row['value']:.3f}"


def _target(row: Row) -> str:
    words = {"at_least": "at least", "at_most": "at most", "below": "below"}
    return "".join(f"{word} {row[key]:g}" for key, word in words.items() if key in row)


def _verdict(row: Row) -> str:
    if not _target(row):
        return ""
    met = (
        row["value"] >= row.get("at_least", -np.inf)
        and row["value"] <= row.get("at_most", np.inf)
        and row["value"] < row.get("below", np.inf)
    )
    return "met" if met else "not met"


def keep(part: str, rows: list[Row], folder: Path, name: str, packages: Sequence[str] = PACKAGES) -> None:
    """Print ``rows``, and put them into NAME.json and NAME.md in ``folder``, with the versions of ``packages``.

    They take the place of what the same part measured on the same machine; other parts and machines stay.
    """
    file = folder / f"{name}.json"
    parts: dict[str, list[dict[str, Any]]] = json.loads(file.read_text())["parts"] if file.exists() else {}
    made = {
        "commit": subprocess.check_output(
            ["git", "describe", "--always", "--dirty"], text=True, cwd=Path(__file__).parent
        ).strip(),
        "machine": _machine(),
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in packages),
        "rows": rows,
    }
    others = [run for run in parts.get(part, []) if run["machine"] != made["machine"]]
    parts |= {part: [*others, made]}
    for written, text in ((file, json.dumps({"parts": parts}, indent=1)), (file.with_suffix(".md"), _page(parts))):
        with whole_file(written) as part_file:
            part_file.write_text("".join(text).rstrip("\n") + "\n")
    print(*map(_sentence, rows), sep="\n", flush=True)


def _machine() -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    # What decides how fast bfloat16 is; the names of virtual processors do not tell.
    skills = torch.backends.cpu.get_cpu_capability()
    units = "matrix units for bfloat16" if torch.cpu._is_amx_tile_supported() else "no matrix units"
    return f"{processor()}, {cores()} cores, {skills}, {units}, {gpu}"


def _page(parts: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for part, runs in sorted(parts.items()):
        for found in runs:
            script = Path(sys.argv[0]).name
            yield f"**{part}**: made by scripts/{script} at commit {found['commit']} on {found['machine']};\n"
            yield f"{found['versions']}.\n\n"
            yield "| measure | value | target | | figures |\n"
            yield "|---|---|---|---|---|\n"
            for row in found["rows"]:
                yield f"| {row['name']} | {_shown(row)} | {_target(row)} | {_verdict(row)} | {row['detail']} |\n"
            yield "\n"
