"""``ssl-pcb config``: every key, its type, default and meaning."""

from __future__ import annotations

import click

from ssl_pcb.config.load import as_yaml
from ssl_pcb.config.show import describe
from ssl_pcb.config.stages import STAGES


@click.group()
def config() -> None:
    """Show every key of a stage's config."""


@config.command()
@click.argument("stage", type=click.Choice(list(STAGES)))
@click.option("--yaml", "whole_file", is_flag=True, help="Print a complete config file with the defaults instead.")
def show(stage: str, whole_file: bool) -> None:
    """List the keys of STAGE with type, default and meaning, as --set and config files take them."""
    schema = STAGES[stage]
    if whole_file:
        click.echo(as_yaml(schema()), nl=False)
        return
    for key in describe(schema):
        click.secho(key.name, bold=True, nl=False)
        of = f" (of {key.variant})" if key.variant and not key.name.endswith(".name") else ""
        click.echo(f"{of}  {key.type}  [default: {key.default}]")
        click.echo(f"    {key.meaning}")


COMMANDS = {"config": config}
