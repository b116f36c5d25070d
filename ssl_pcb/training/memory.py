"""How much memory tensors take."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """The most bytes that tensors on ``device`` take at a time while ``run`` runs, beyond what they took before.

    What libraries take for themselves is not among them, nor on a CPU what an operator takes beside torch's allocator.

    Args:
        run: Called once.
        device: A CPU, or a GPU on which nothing else allocates meanwhile.
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return int(torch.cuda.max_memory_allocated(device)) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # it calls a machine without a GPU an error
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        run()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        found.export_chrome_trace(str(file))
        events = json.loads(file.read_text())["traceEvents"]
    taken = most = 0
    for event in sorted((each for each in events if each.get("name") == "[memory]"), key=lambda each: each["ts"]):
        taken += event["args"]["Bytes"]  # negative where some are given back
        most = max(most, taken)
    return most
