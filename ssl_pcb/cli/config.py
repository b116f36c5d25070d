"""``ssl-pcb config``: every key, its type, default and meaning."""

from __future__ import annotations

import click

from ssl_pcb.config.load import as_yaml, load_config
from ssl_pcb.config.presets import recipe_for
from ssl_pcb.config.show import as_text, describe
from ssl_pcb.config.stages import STAGES


@click.group()
def config() -> None:
    """Show every key of a stage's config."""


@config.command()
@click.argument("stage", type=click.Choice(list(STAGES)))
@click.option(
    "--yaml", "whole_file", is_flag=True, help="Print instead what STAGE does without flags, as a config file."
)
def show(stage: str, whole_file: bool) -> None:
    """List the keys of STAGE with type, default and meaning, as --set and config files take them."""
    schema, recipe = STAGES[stage], recipe_for(stage, {})
    if whole_file:
        click.echo(as_yaml(load_config(schema, beneath=[recipe])), nl=False)
        return
    for key in describe(schema):
        click.secho(key.name, bold=True, nl=False)
        of = f" (of {key.variant})" if key.variant and not key.name.endswith(".name") else ""
        alone = as_text(recipe[key.name]) if key.name in recipe else key.default
        bare = f"; of a bare 'ssl-pcb {stage}': {alone}" if alone != key.default else ""
        click.echo(f"{of}  {key.type}  [default: {key.default}{bare}]")
        click.echo(f"    {key.meaning}")


COMMANDS = {"config": config}
