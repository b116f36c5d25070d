"""``ssl-pcb embed``: images as rows of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.data_options import data_options

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=PATH)
@click.argument("data", type=PATH)
@click.option("--out", type=PATH, required=True, help="New folder for codes.npy and codes.csv.")
@click.option(
    "--split", "splits", multiple=True, type=click.Choice(["train", "holdout", "val", "test"]),
    help="Only this split; may be given several times.  [default: all samples]",
)  # fmt: skip
@click.option(
    "--batch-size", type=click.IntRange(1), help="Images at a time.  [default: 256 of 128 px, or so many pixels]"
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where to compute.",
)  # fmt: skip
@click.option(
    "--tta", type=click.Choice(["none", "symmetries"]),
    help="Judge by the mean over the eight turns and mirror images of each.  [default: as the run]",
)  # fmt: skip
@data_options("max_pixels", "skip_bad", "cache")
def embed(
    run: Path,
    data: Path,
    out: Path,
    splits: tuple[str, ...],
    batch_size: int | None,
    device: str,
    tta: str | None,
    **asked: Any,
) -> None:
    """Turn the images of the manifest DATA into codes with the network of the run folder RUN.

    Codes are an autoencoder's bottleneck, with its reconstruction error as an anomaly score, or the pooled features
    of any other run. Of a pretraining on painted defects codes.csv gives the suspicion, a score of Defective that
    needs no label, and suspects.png shows where. Labels of split 'test' are left out.
    """
    from ssl_pcb.stages.embed import embed as embed_images

    given = {name: value for name, value in asked.items() if value is not None}
    embed_images(run, data, out, splits, batch_size, device, given, tta)


COMMANDS = {"embed": embed}
