"""``ssl-pcb data pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.data_options import PIXELS, data_options
from ssl_pcb.cli.terminal import printable
from ssl_pcb.errors import UserError


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@data_options(*PIXELS, "context", "cache")
def pack(manifest: Path, **asked: Any) -> None:
    """Pack the samples of MANIFEST at the training resolution, to be read from disk by every stage.

    The stages do it themselves on first use; this does it beforehand, and says where the pixels lie.
    """
    from ssl_pcb.config.data import DataConfig
    from ssl_pcb.config.load import load_config
    from ssl_pcb.data.manifest import Manifest
    from ssl_pcb.data.store import open_store

    given = {name: str(value) if name == "cache" else value for name, value in asked.items() if value is not None}
    rows = Manifest.read(manifest)
    if not len(rows):
        raise UserError(f"{manifest}: the manifest has no rows")
    store, _ = open_store(rows, load_config(DataConfig, overrides=given))
    click.echo(
        printable(
            f"{len(store.rows):,} samples of {store.spec.side} px with {store.spec.channels} channel(s), "
            f"{store.pixels.nbytes / 1e6:,.0f} MB: {store.folder}"
        )
    )
    if store.bad:
        click.echo(printable(f"{len(store.bad):,} unreadable files left out, first: {next(iter(store.bad.values()))}"))
