"""The flag ``--test-balance`` of the commands that judge what a run has predicted."""

from __future__ import annotations

import click

from ssl_pcb.config.meanings import TEST_BALANCE

balance_option = click.option(
    "--test-balance", "balance", type=click.Choice(["natural", "balanced"]), default="natural", show_default=True,
    help=f"{TEST_BALANCE[:1].upper()}{TEST_BALANCE[1:]}.",
)  # fmt: skip
