"""``ssl-pcb report`` and ``review``: pages in one file."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_pcb.cli.seed import SEED

PATH = click.Path(path_type=Path)
DEVICE = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where to compute heat maps and features.",
)  # fmt: skip


@click.command()
@click.argument("runs", type=PATH, nargs=-1, required=True)
@click.option("-o", "--out", type=PATH, required=True, help="HTML file to write.")
@click.option(
    "--pictures", type=click.IntRange(1), default=800, show_default=True,
    help="Samples to show, over all runs; the worst misses and false calls are shown whatever this is.",
)  # fmt: skip
@DEVICE
@click.option("--resamples", type=click.IntRange(100), default=1000, show_default=True, help="Bootstrap resamples.")
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the bootstrap, and of what is shown of many.",
)
def report(runs: tuple[Path, ...], out: Path, pictures: int, device: str, resamples: int, seed: int) -> None:
    """One page about RUNS, to look at and to hand on: figures, errors with pictures, and where the network looked.

    RUNS are folders of finished pretrain, linear-eval, finetune or crossval runs on the same data. Several stand side
    by side, with paired differences to the first. The page needs no network, and holds its pictures.
    """
    from ssl_pcb.stages.report import make_report

    make_report(runs, out, pictures=pictures, device=device, resamples=resamples, seed=seed)


@click.command()
@click.argument("audit", type=PATH)
@click.option("-o", "--out", type=PATH, required=True, help="HTML file to write.")
@DEVICE
def review(audit: Path, out: Path, device: str) -> None:
    """A page to decide about suspected labels, one at a time: the folder AUDIT is what 'ssl-pcb audit labels' wrote.

    Its neighbours and a heat map stand beside each suspect. What you decide is kept in the browser; 'save' gives the
    table that 'ssl-pcb data relabel' applies.
    """
    from ssl_pcb.stages.review import make_review

    make_review(audit, out, device=device)


COMMANDS = {"report": report, "review": review}
