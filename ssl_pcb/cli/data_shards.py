"""``ssl-pcb data shards``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.data_options import PIXELS, data_options

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("manifest", type=PATH)
@click.argument("out", type=PATH)
@data_options(*PIXELS)
@click.option(
    "--format", "kind", type=click.Choice(["png", "jpg"]), default="png", show_default=True,
    help="png keeps every pixel; jpg (quality 95) is smaller and changes pixels.",
)  # fmt: skip
@click.option("--per-shard", type=click.IntRange(min=1), default=1000, show_default=True, help="Samples in a tar file.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the order.")
@click.option("--use-unsplit", is_flag=True, help="Also take unlabelled images that have no split.")
def shards(manifest: Path, out: Path, kind: Any, per_shard: int, seed: int, use_unsplit: bool, **asked: Any) -> None:
    """Write the training samples of MANIFEST into the new folder OUT as WebDataset tar shards.

    'ssl-pcb pretrain --shards OUT/index.json' streams them from there, or from an https server.
    """
    from ssl_pcb.config.data import DataConfig
    from ssl_pcb.config.load import load_config
    from ssl_pcb.data.manifest import Manifest
    from ssl_pcb.data.shards.write import write_shards

    given = {name: value for name, value in asked.items() if value is not None}
    write_shards(
        Manifest.read(manifest), str(manifest), out, load_config(DataConfig, overrides=given),
        kind=kind, per_shard=per_shard, seed=seed, use_unsplit=use_unsplit,
    )  # fmt: skip
