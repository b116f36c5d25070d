"""Working off a sweep: each run in a process of its own, then the leaderboard."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from ssl_pcb.data.files import whole_file
from ssl_pcb.reports.leaderboard import Made, leaderboard
from ssl_pcb.reports.leaderboard_lines import say_leaderboard
from ssl_pcb.stages.costs import duration
from ssl_pcb.stages.sweep_cost import announce_sweep
from ssl_pcb.stages.sweep_plan import Planned, chosen_runs, plan_runs, read_sweep
from ssl_pcb.stages.workshop import ENDED, Workshop

log = logging.getLogger(__name__)

LEADERBOARD = "leaderboard.csv"

LOOK_AGAIN = 5.0
"""Seconds between two looks at runs that other processes have in hand."""


def sweep(file: Path, out: Path, only: Sequence[str] = ()) -> bool:
    """Make every run of ``file`` that is not made yet, into ``out``, and write the leaderboard there.

    A run that fails does not stop the others. Several calls, on one machine or on several that share ``out``, work one
    sweep off together.

    Args:
        file: The sweep's YAML file.
        out: Folder of its runs.
        only: Entries to make and to rank, with what they are compared with; none = all.

    Returns:
        Whether every run finished.

    Raises:
        UserError: If the file or one of its entries makes no sense; then nothing has been run.
    """
    asked = read_sweep(file)
    runs = plan_runs(asked, out)
    if only:
        runs = chosen_runs(runs, only)
    needed = list({each.folder: each for run in runs for each in (run.before, run) if each is not None}.values())
    workshop = Workshop(out)
    left = [run for run in needed if workshop.status(run) not in ENDED]
    entries = len({run.entry for run in runs})
    log.info("%d runs for %d entries, %d of them done, into %s", len(needed), entries, len(needed) - len(left), out)
    if left:
        announce_sweep(left)
    _work_off(needed, workshop)
    made = [
        Made(
            run.entry, run.asks, run.against, run.stage, run.seed, run.folder, workshop.status(run),
            None if run.before is None else run.before.folder,
        )
        for run in runs
    ]  # fmt: skip
    table = leaderboard(made)
    with whole_file(out / LEADERBOARD, shared=True) as part:
        table.to_csv(part, index=False, lineterminator="\n")
    say_leaderboard(table)
    log.info("leaderboard: %s", out / LEADERBOARD)
    return all(run.status == "finished" for run in made)


def _work_off(needed: list[Planned], workshop: Workshop) -> None:
    taken: list[float] = []
    while left := [run for run in needed if not workshop.settled(run)]:
        before = len(taken)
        for run in left:
            began = time.perf_counter()
            error = workshop.make(run)
            if error is None:
                continue
            taken.append(time.perf_counter() - began)
            ahead = sum(not workshop.settled(each) for each in needed)
            log.info(
                "%s, seed %d: %s after %s; %d left, about %s",
                run.entry or "pretraining", run.seed, f"failed ({error})" if error else "finished",
                duration(taken[-1]), ahead, duration(sum(taken) / len(taken) * ahead),
            )  # fmt: skip
        if len(taken) == before:
            log.debug("%d runs are in other hands", len(left))
            time.sleep(LOOK_AGAIN)
