"""Flags of the commands that judge images with a classifier, and the classifier that they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ssl_pcb.deploy.predictor import Predictor

Command = TypeVar("Command", bound=Callable[..., object])

evaluation_option = click.option(
    "--evaluation", type=click.Path(path_type=Path),
    help="Folder that 'ssl-pcb evaluate' wrote, whose thresholds to use.  [default: the newest one in the run]",
)  # fmt: skip

OPTIONS = (
    click.option(
        "--max-pixels", type=click.IntRange(1),
        help="Refuse larger images as image bombs.  [default: as in training; of a service at most 64 million]",
    ),
    evaluation_option,
    click.option("--threads", type=click.IntRange(1), help="CPU threads of the network.  [default: all cores]"),
    click.option(
        "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
        help="Where a run computes; exported models compute on the CPU.",
    ),
)  # fmt: skip


def judging_options(command: Command) -> Command:
    """A decorator: what all commands take that judge images."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def opened(model: Path, flags: Mapping[str, Any]) -> Predictor:
    """The classifier ``model`` as these flags have it.

    Raises:
        UserError: If it is none, or what it needs is missing.
    """
    from ssl_pcb.stages.opening import load_classifier

    return load_classifier(model, **{name: flags[name] for name in ("device", "threads", "evaluation")})
