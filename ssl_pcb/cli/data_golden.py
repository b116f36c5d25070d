"""``ssl-pcb data golden``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.seed import SEED
from ssl_pcb.cli.terminal import printable

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("manifest", type=PATH)
@click.option("--out", type=PATH, required=True, help="New folder for the golden images and their manifest.")
@click.option(
    "--library", type=PATH,
    help="Manifest whose training images are searched too; it may be the same.  [default: the image's own board alone]",
)  # fmt: skip
@click.option(
    "--block", type=int,
    help="Side of the blocks that are put together, in pixels; at most a sixth of the images' shorter side.  "
    "[default: a tenth of it]",
)  # fmt: skip
@click.option(
    "--most", default=300, show_default=True, help="Images to search in, drawn at random where there are more."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the draw.")
@click.option("--max-pixels", default=300_000_000, show_default=True, help="Larger images are refused.")
def golden(manifest: Path, out: Path, library: Path | None, **options: Any) -> None:
    """Put together a golden image for each image of MANIFEST from others that show the same pattern; uses no label."""
    from tqdm import tqdm

    from ssl_pcb.data.manifest import Manifest
    from ssl_pcb.stages.golden import PICTURE, make_golden

    rows = Manifest.read(manifest)
    total = rows.frame["path"].nunique()
    with tqdm(desc="golden images", total=total, unit="image", disable=None, leave=False) as bar:
        known = None if library is None else Manifest.read(library)
        found = make_golden(rows, out, library=known, progress=lambda: bar.update(), **options)
    for line in [*found.lines(), f"look at it: {out / PICTURE}"]:
        click.echo(printable(line))
