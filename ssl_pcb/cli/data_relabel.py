"""``ssl-pcb data relabel``."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path

import click

from ssl_pcb.cli.terminal import printable
from ssl_pcb.errors import UserError

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("manifest", type=PATH)
@click.argument("corrections", type=PATH)
@click.option("--out", type=PATH, required=True, help="New manifest (.csv or .parquet).")
@click.option("--by", metavar="NAME", help="Who decided.  [default: your user name]")
def relabel(manifest: Path, corrections: Path, out: Path, by: str | None) -> None:
    """Apply the table of CORRECTIONS to MANIFEST: its columns are row (or path and crop), label, and if you like note.

    An empty label makes a sample unlabelled. The old labels, who decided and when are kept in the new manifest.
    """
    from ssl_pcb.data.corrections import read_corrections
    from ssl_pcb.data.manifest import Manifest
    from ssl_pcb.data.relabel import relabel as apply

    if out.exists():
        raise UserError(f"{out}: exists; choose another --out, so that the old labels stay where they are")
    who = (_user() if by is None else by).strip()
    if not who:
        raise UserError("--by: must name who decided")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    done = apply(Manifest.read(manifest), str(manifest), read_corrections(corrections), str(corrections), who, now)
    done.manifest.write(out)
    for line in [*done.lines(), f"written: {out}"]:
        click.echo(printable(line))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # which one depends on system and Python
        raise UserError("--by: this system has no name for you; say who decided") from None
