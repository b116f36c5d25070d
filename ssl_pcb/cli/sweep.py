"""``ssl-pcb sweep``: many runs, one leaderboard."""

from __future__ import annotations

import sys
from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=PATH)
@click.option("--out", type=PATH, help="Folder of all its runs.  [default: runs/NAME-OF-FILE]")
@click.option(
    "--only", multiple=True, metavar="ENTRY", help="Make and rank this entry and what it is compared with; repeatable."
)
def sweep(file: Path, out: Path | None, only: tuple[str, ...]) -> None:
    """Make all runs that the YAML FILE asks for, and rank them.

    FILE names entries (runs), or a grid of keys and values, or both; seeds; a config to start from. The same command
    again goes on where it stopped: a finished run is never made again. Call it several times at once, also on machines
    that share the folder, and they divide the runs. Exit code 1: some runs did not finish.
    """
    from ssl_pcb.stages.sweep import sweep as work_off

    sys.exit(0 if work_off(file, out or Path("runs") / file.stem, only) else 1)


COMMANDS = {"sweep": sweep}
