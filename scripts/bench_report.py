"""How the benchmarks measure in turn, and how they write down what they found."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

from ssl_pcb.data.parallel import cores
from ssl_pcb.training.runtime import processor

ROUNDS = 5

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


def keep(part: str, rows: list[Row], folder: Path, name: str) -> None:
    """Print ``rows``, and put them into NAME.json and NAME.md in ``folder``, beside the other parts' there."""
    file = folder / f"{name}.json"
    parts = json.loads(file.read_text())["parts"] if file.exists() else {}
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    made = {
        "commit": commit,
        "machine": f"{processor()}, {cores()} cores, {gpu}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, Pillow {PIL.__version__}",
    }
    parts |= {part: made | {"rows": rows}}
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"parts": parts}, indent=1) + "\n")
    (folder / f"{name}.md").write_text("\n".join(_page(parts)) + "\n")
    print(*map(_sentence, rows), sep="\n", flush=True)


def _page(parts: dict[str, Any]) -> Iterator[str]:
    for part, found in sorted(parts.items()):
        yield f"**{part}**: made by scripts/{Path(sys.argv[0]).name} at commit {found['commit']} on {found['machine']};"
        yield f"{found['versions']}."
        yield ""
        yield "| measure | value | target | | figures |"
        yield "|---|---|---|---|---|"
        for row in found["rows"]:
            yield f"| {row['name']} | {_shown(row)} | {_target(row)} | {_verdict(row)} | {row['detail']} |"
        yield ""
