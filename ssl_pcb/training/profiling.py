"""Where the time of a training step goes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from ssl_pcb.data.files import whole_file

log = logging.getLogger(__name__)

TABLE, TRACE = "profile.md", "profile.json"
WARM_UP, STEPS = 3, 5
"""Steps that are not counted, and those that are."""

PARTS = {
    "enumerate(DataLoader)": "fetching the batch",
    "forward": "views, forward and loss",
    "views": "of which making the views",
    "backward": "backward",
    "Optimizer.step": "optimiser",
}
"""How the names of a step's parts begin, as torch and the loop tell the profiler, and what they are."""

OPERATORS = 15

Item = TypeVar("Item")


def profiled(steps: Iterable[Item], folder: Path, device: torch.device) -> Iterator[Item]:
    """Yield ``steps``; after the eighth ``folder`` holds a table of them, and a trace for chrome://tracing.

    Training is the same with it as without, and the steps that are not counted hardly take longer.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # it calls a machine without a GPU an error
    before = _age(folder / TABLE)
    gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * gpu
    plan = schedule(wait=0, warmup=WARM_UP, active=STEPS, repeat=1)
    with profile(
        activities=activities, schedule=plan, on_trace_ready=lambda found: _write(found, folder, gpu=gpu)
    ) as found:
        for step in steps:
            yield step
            found.step()
    if _age(folder / TABLE) == before:
        log.warning("profile: an epoch of %d steps or fewer is too short to be profiled; lower --batch-size", WARM_UP)


def _age(file: Path) -> int | None:
    return file.stat().st_mtime_ns if file.exists() else None


def _write(found: profile, folder: Path, *, gpu: bool) -> None:
    # On a GPU an event stands there a second time for the GPU, and each kernel by itself: the CPU's carry their times.
    events = [event for event in found.key_averages() if event.device_type.name == "CPU"]
    others = [event for event in events if not event.key.startswith("ProfilerStep")]
    count = sum(event.count for event in others if event.key == "forward")
    if not count:  # the epoch was over before
        return
    with whole_file(folder / TRACE) as part:
        found.export_chrome_trace(str(part))
    total = sum(event.cpu_time_total for event in events if event.key.startswith("ProfilerStep"))

    def row(name: str, time: float, *more: float) -> str:
        end = "".join(f" {each / count / 1e3:.1f} |" for each in more)
        return f"| {name} | {time / count / 1e3:.1f} | {time / total:.1%} |{end}"

    lines = [f"Mean of {count} steps of {total / count / 1e3:.1f} ms.", ""]
    if gpu:
        lines += ["The CPU waits for the GPU only where it must: where its time ends up says little of the GPU's.", ""]
    lines += ["| part | ms a step | share |", "|---|---:|---:|"]
    for start, words in PARTS.items():
        lines.append(row(words, sum(event.cpu_time_total for event in others if event.key.startswith(start))))
    lines += [
        "",
        "| operator | ms a step, its own | share |" + " ms on the GPU |" * gpu,
        "|---|---:|---:|" + "---:|" * gpu,
    ]
    operators = [event for event in others if not event.key.startswith(tuple(PARTS))]
    own = "self_device_time_total" if gpu else "self_cpu_time_total"
    for event in sorted(operators, key=lambda event: -getattr(event, own))[:OPERATORS]:
        lines.append(row(event.key, event.self_cpu_time_total, *[event.self_device_time_total] * gpu))
    with whole_file(folder / TABLE) as part:
        part.write_text("\n".join(lines) + "\n")
    log.info("where a step's time goes: %s", folder / TABLE)
