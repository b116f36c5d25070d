"""``ssl-pcb audit labels`` and ``next``: which labels are wrong, and which to give next."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from ssl_pcb.cli.seed import SEED

PATH = click.Path(path_type=Path)
DEVICE = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)


@click.command()
@click.argument("data", type=PATH)
@click.option("--run", type=PATH, required=True, help="Folder of a finished crossval on DATA.")
@click.option(
    "--features", type=PATH,
    help="Folder of a pretraining in whose space neighbours are sought.  [default: in that of crossval's networks]",
)  # fmt: skip
@click.option("--out", type=PATH, help="New folder for the results.  [default: runs/audit-labels-DATE-TIME]")
@click.option(
    "--limit", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="Share of suspected labels that is still a pass.",
)  # fmt: skip
@DEVICE
def labels(data: Path, run: Path, features: Path | None, out: Path | None, limit: float, device: str) -> None:
    """Which labels of the manifest DATA are probably wrong, the most suspicious first.

    Networks of a cross-validation say how likely each label is that they have not seen, and so do its nearest labelled
    neighbours of other images. 'ssl-pcb data relabel' applies what you decide.
    """
    from ssl_pcb.stages.audit_labels import audit_labels

    folder = out or Path("runs") / f"audit-labels-{datetime.now():%Y%m%d-%H%M%S}"
    sys.exit(0 if audit_labels(data, run, features, folder, limit=limit, device=device) else 1)


@click.command("next")
@click.argument("data", type=PATH)
@click.option(
    "--run", type=PATH, required=True,
    help="Folder of a finished finetuning: uncertain and diverse; or of a pretraining or linear-eval: "
    "diverse, which in the space of painted defects finds many.",
)  # fmt: skip
@click.option("-n", "count", type=click.IntRange(1), default=200, show_default=True, help="Samples to choose.")
@click.option("--out", type=PATH, help="New folder for the results.  [default: runs/audit-next-DATE-TIME]")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed.")
@DEVICE
def next_(data: Path, run: Path, count: int, out: Path | None, seed: int, device: str) -> None:
    """Which unlabelled samples of the manifest DATA to label next, the most useful first.

    Fill in the column label of next.csv, and apply it with 'ssl-pcb data relabel'.
    """
    from ssl_pcb.stages.audit_next import audit_next

    folder = out or Path("runs") / f"audit-next-{datetime.now():%Y%m%d-%H%M%S}"
    audit_next(data, run, count, folder, seed=seed, device=device)
