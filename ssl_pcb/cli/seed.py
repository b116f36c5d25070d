"""What ``--seed`` takes."""

import click

SEED = click.IntRange(0, 2**31 - 1)
"""Of one command's draws; the upper end is what every library takes."""
