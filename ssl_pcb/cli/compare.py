"""``ssl-pcb compare``: two runs on the same samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.balance_option import balance_option
from ssl_pcb.cli.seed import SEED

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option("--split", type=click.Choice(["val", "holdout", "test"]), default="val", show_default=True)
@balance_option
@click.option("--out", type=PATH, help="JSON file to write.")
@click.option("--resamples", type=click.IntRange(100), default=1000, show_default=True, help="Bootstrap resamples.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the bootstrap.")
def compare(first: Path, second: Path, split: str, balance: Any, out: Path | None, resamples: int, seed: int) -> None:
    """Does the run in SECOND err less than the one in FIRST? McNemar's test, and a bootstrap over source images.

    Both must have judged the same samples; each is taken at its own threshold.
    """
    from ssl_pcb.stages.compare import compare as compare_runs

    compare_runs(first, second, split, out, balance=balance, resamples=resamples, seed=seed)


COMMANDS = {"compare": compare}
