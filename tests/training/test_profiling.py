"""The profile of a training's first steps."""

import json
import time

import pytest
import torch

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


def test_for_a_gpu_the_table_has_its_times_beside(tmp_path):
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as found, torch.profiler.record_function("ProfilerStep#0"):
        work(0)
    _write(found, tmp_path, gpu=True)
    table = (tmp_path / "profile.md").read_text()
    assert "| part | ms a step | share | ms on the GPU |\n|---|---:|---:|---:|\n" in table
    assert all(line.count("|") == 5 for line in table.splitlines() if line.startswith("|"))
