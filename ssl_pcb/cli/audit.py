"""``ssl-pcb audit``: measurements on data and on what is done to it."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ssl_pcb.config.load import load_config, parse_set
from ssl_pcb.config.stages import STAGES, FinetuneConfig
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


@click.group()
def audit() -> None:
    """Measure data and what is done to it. Exit code 0: pass, 1: a finding, 2: an error."""


@audit.command()
@click.option("--data", type=PATH, help="Manifest with defect boxes.  [default: the embedded synthetic boards]")
@click.option("--out", type=PATH, help="New folder for the results.  [default: runs/audit-augmentations-DATE-TIME]")
@click.option(
    "--stage", type=click.Choice(["pretrain", "finetune"]), default="pretrain", show_default=True,
    help="Whose default views to audit.",
)  # fmt: skip
@click.option("--config", "config_file", type=PATH, help="YAML config of that stage, if not the default.")
@click.option("--samples", default=500, show_default=True, help="Most defective samples to look at.")
@click.option("--views", default=4, show_default=True, help="Views of each.")
@click.option("--seed", default=0, show_default=True, help="Seed.")
@click.option("--set", "sets", multiple=True, metavar="KEY.SUB=VALUE", help="Any key of that stage's config.")
def augmentations(
    data: Path | None,
    out: Path | None,
    stage: str,
    config_file: Path | None,
    samples: int,
    views: int,
    seed: int,
    sets: tuple[str, ...],
) -> None:
    """How many defects stay in view, and how much of their contrast survives, beside random crops."""
    from ssl_pcb.stages.audit_augmentations import audit_views

    if samples < 1 or views < 1:
        raise UserError("--samples and --views must be at least 1")
    asked = parse_set(sets) | ({"data.manifest": str(data)} if data else {})
    config = load_config(STAGES[stage], config_file, asked)
    folder = out or Path("runs") / f"audit-augmentations-{datetime.now():%Y%m%d-%H%M%S}"
    passed = audit_views(config, folder, samples=samples, views=views, seed=seed)  # type: ignore[arg-type]
    sys.exit(0 if passed else 1)


@audit.command()
@click.option("--data", type=PATH, help="Manifest.  [default: the embedded synthetic boards]")
@click.option("--out", type=PATH, help="New folder for norms.json.  [default: runs/audit-norms-DATE-TIME]")
@click.option("--backbone", help="Network with batch norm.  [default: that of finetune]")
@click.option(
    "--also", multiple=True, default=("nf_resnet26",), show_default=True,
    help="Network to measure beside it as it comes, such as a normaliser-free one; may be repeated.",
)  # fmt: skip
@click.option("--image-size", type=int, help="Side of a sample.  [default: that of finetune]")
@click.option("--batch-size", type=int, help="Samples a step.  [default: that of finetune]")
@click.option("--steps", default=60, show_default=True, help="Training steps before scores are compared.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Device.  [default: auto]")
@click.option("--config", "config_file", type=PATH, help="YAML config of finetune, if not the default.")
@click.option("--set", "sets", multiple=True, metavar="KEY.SUB=VALUE", help="Any key of finetune's config.")
def norms(
    data: Path | None,
    out: Path | None,
    also: tuple[str, ...],
    steps: int,
    config_file: Path | None,
    sets: tuple[str, ...],
    **flags: Any,
) -> None:
    """What batch norm costs: memory, time, and scores that depend on the mode and on the rest of the batch.

    The network is measured with its batch norm and with group norm, and others beside it; each is trained from random
    weights.
    """
    from ssl_pcb.stages.audit_norms import audit_norms, say_norms

    if steps < 1:
        raise UserError("--steps must be at least 1")
    keys = {"backbone": "backbone.name", "image_size": "data.image_size", "batch_size": "training.batch_size",
            "device": "runtime.device"}  # fmt: skip
    asked = {keys[flag]: value for flag, value in flags.items() if value is not None}
    asked |= parse_set(sets) | ({"data.manifest": str(data)} if data else {})
    config = load_config(FinetuneConfig, config_file, asked)
    folder = out or Path("runs") / f"audit-norms-{datetime.now():%Y%m%d-%H%M%S}"
    say_norms(audit_norms(config, also, steps, folder))
    log.info("written: %s", folder / "norms.json")


COMMANDS = {"audit": audit}
