"""``ssl-pcb demo``: the whole job, small."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_pcb.cli.seed import SEED


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True,
              help="New folder for the runs and the summary.")  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed.")
def demo(out: Path, seed: int) -> None:
    """Make synthetic boards, audit the augmentations, pretrain, probe and finetune: under 4 minutes on 2 cores."""
    from ssl_pcb.stages.demo import run_demo

    run_demo(out, seed)


COMMANDS = {"demo": demo}
