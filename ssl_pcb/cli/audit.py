"""``ssl-pcb audit``: measurements on data and on what is done to it."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.audit_data import duplicates, shortcuts
from ssl_pcb.cli.audit_labels import labels, next_
from ssl_pcb.cli.balance_option import balance_option
from ssl_pcb.cli.seed import SEED
from ssl_pcb.config.load import load_config, parse_set
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.show import describe
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)
NAMES = [key.type for key in describe(FinetuneConfig) if key.name == "augment.name"]


@click.group()
def audit() -> None:
    """Measure data and what is done to it. Exit code 0: pass, 1: a finding, 2: an error."""


@audit.command()
@click.option(
    "--data", type=PATH,
    help="Manifest with defect boxes (with --run, any).  [default: the embedded synthetic boards, or the run's]",
)  # fmt: skip
@click.option("--out", type=PATH, help="New folder for the results.  [default: runs/audit-augmentations-DATE-TIME]")
@click.option(
    "--stage", type=click.Choice(["pretrain", "finetune"]),
    help="Whose views to audit, if not of --augment.  [default: pretrain]",
)  # fmt: skip
@click.option(
    "--augment", "names", multiple=True, type=click.Choice(NAMES),
    help="An augmentation of finetune: what it does to defects, and how many labels it makes wrong; may be repeated.",
)  # fmt: skip
@click.option(
    "--run", type=PATH,
    help="Folder of a finished finetuning: how far its features and verdicts stay the same under each single change.",
)  # fmt: skip
@click.option("--config", "config_file", type=PATH, help="YAML config of that stage, if not the default.")
@click.option("--samples", default=500, show_default=True, help="Most samples to look at.")
@click.option("--views", default=4, show_default=True, help="Views of each; of --run one.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where --run computes.",
)  # fmt: skip
@click.option("--set", "sets", multiple=True, metavar="KEY.SUB=VALUE", help="Any key of that stage's config.")
def augmentations(
    data: Path | None,
    out: Path | None,
    stage: str | None,
    names: tuple[str, ...],
    run: Path | None,
    config_file: Path | None,
    samples: int,
    views: int,
    seed: int,
    device: str,
    sets: tuple[str, ...],
) -> None:
    """How many defects stay in view, and how much of their contrast survives, beside random crops.

    With --augment also how many labels no longer say what the picture shows; with --run what a trained model minds.
    """
    if samples < 1 or views < 1:
        raise UserError("--samples and --views must be at least 1")
    folder = out or Path("runs") / f"audit-augmentations-{datetime.now():%Y%m%d-%H%M%S}"
    if run is not None:
        if stage or names or config_file or sets:
            raise UserError("--run: asks a trained model as it is; leave out --stage, --augment, --config and --set")
        from ssl_pcb.stages.audit_invariance import audit_run

        sys.exit(0 if audit_run(run, data, folder, samples=samples, seed=seed, device=device) else 1)
    if names and stage == "pretrain":
        raise UserError("--augment: pretrain has none, only views; leave out --stage, or --augment")
    from ssl_pcb.stages.audit_augmentations import audit_policies, audit_views

    asked = parse_set(sets) | ({"data.manifest": str(data)} if data else {})
    if names or stage == "finetune":
        named = [{"augment.name": name} for name in dict.fromkeys(names)] or [{}]
        configs = [load_config(FinetuneConfig, config_file, asked | each) for each in named]
        passed = audit_policies(configs, folder, samples=samples, views=views, seed=seed)
    else:
        config = load_config(PretrainConfig, config_file, asked)
        passed = audit_views(config, folder, samples=samples, views=views, seed=seed)
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


@audit.command()
@click.argument("run", type=PATH)
@click.option("--data", type=PATH, help="Manifest whose validation samples are judged.  [default: the run's]")
@click.option("--out", type=PATH, help="New folder for the results.  [default: runs/audit-robustness-DATE-TIME]")
@click.option(
    "--samples", type=click.IntRange(2), default=2000, show_default=True,
    help="Most validation samples, each class in its share.",
)  # fmt: skip
@balance_option
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
def robustness(
    run: Path, data: Path | None, out: Path | None, samples: int, balance: Any, seed: int, device: str
) -> None:
    """How the errors of the finetuned RUN grow when the camera is no longer as it was.

    Escape and false-call rate at the run's own threshold, and AUROC, under twelve corruptions at five severities; the
    share of the verdicts that a shift of 1 to 8 px flips. Validation samples only, never test boards.
    """
    from ssl_pcb.stages.checks import refuse_used_folder
    from ssl_pcb.stages.robustness import measure_robustness
    from ssl_pcb.stages.validation import Validation

    folder = out or Path("runs") / f"audit-robustness-{datetime.now():%Y%m%d-%H%M%S}"
    refuse_used_folder(folder)
    asked = Validation.open(run, data, samples=samples, balance=balance, seed=seed, device=device)
    _, passed = measure_robustness(asked, folder)
    sys.exit(0 if passed else 1)


audit.add_command(shortcuts)
audit.add_command(duplicates)
audit.add_command(labels)
audit.add_command(next_)

COMMANDS = {"audit": audit}
