"""The profile of a training's first steps."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

from ssl_pcb.training.profiling import STEPS, WARM_UP, _write, profiled

CPU = torch.device("cpu")


def work(number):
    """A step that spends most of its time in what it calls backward."""
    with torch.profiler.record_function("forward"):
        time.sleep(0.002)
    with torch.profiler.record_function("backward"):
        torch.rand(64, 64) @ torch.rand(64, 64)
        time.sleep(0.03)
    return number


def share(table, part):
    row = next(line for line in table.splitlines() if line.startswith(f"| {part} |"))
    return float(row.split("|")[3].strip().rstrip("%"))


def test_every_step_comes_through_and_the_table_says_what_took_the_time(tmp_path):
    count = WARM_UP + STEPS + 4
    assert [work(number) for number in profiled(range(count), tmp_path, CPU)] == list(range(count))
    table = (tmp_path / "profile.md").read_text()
    assert table.startswith(f"Mean of {STEPS} steps of ")
    assert share(table, "backward") > share(table, "views, forward and loss") > 0
    assert share(table, "optimiser") == 0
    assert "| aten::mm |" in table
    names = {event.get("name") for event in json.loads((tmp_path / "profile.json").read_text())["traceEvents"]}
    assert {"forward", "backward"} <= names


@pytest.mark.parametrize("count", [0, 1, WARM_UP])
def test_too_few_steps_leave_nothing_and_that_is_said(count, tmp_path, caplog):
    for number in profiled(range(count), tmp_path, CPU):
        work(number)
    assert not list(tmp_path.iterdir())
    assert "too short" in caplog.text


def test_a_short_epoch_is_a_mean_of_fewer_steps(tmp_path):
    list(map(work, profiled(range(WARM_UP + 2), tmp_path, CPU)))
    assert (tmp_path / "profile.md").read_text().startswith("Mean of 2 steps of ")


class OnAGpu:
    """What a GPU's profile holds: each part twice, an operator with its kernel's time, and the kernel by itself."""

    def key_averages(self):
        def event(key, device, cpu, gpu, count=4):
            times = dict.fromkeys(("cpu_time_total", "self_cpu_time_total"), cpu)
            times |= dict.fromkeys(("device_time_total", "self_device_time_total"), gpu)
            return SimpleNamespace(key=key, device_type=device, count=count, **times)

        cpu, cuda = DeviceType.CPU, DeviceType.CUDA
        return [event("ProfilerStep#3", cpu, 8000.0, 0.0), event("ProfilerStep#3", cuda, 0.0, 40000.0),
                event("forward", cpu, 4000.0, 0.0), event("forward", cuda, 0.0, 20000.0),
                event("aten::mm", cpu, 2000.0, 12000.0), event("gemm_kernel", cuda, 0.0, 12000.0)]  # fmt: skip

    def export_chrome_trace(self, path):
        Path(path).write_text("{}")


def test_on_a_gpu_nothing_is_counted_twice(tmp_path):
    _write(OnAGpu(), tmp_path, gpu=True)
    table = (tmp_path / "profile.md").read_text()
    assert table.startswith("Mean of 4 steps of 2.0 ms.")
    assert "| views, forward and loss | 1.0 | 50.0% |\n" in table
    assert "| aten::mm | 0.5 | 25.0% | 3.0 |\n" in table
    assert "gemm_kernel" not in table
