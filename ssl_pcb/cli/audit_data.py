"""``ssl-pcb audit shortcuts`` and ``duplicates``: what is wrong with a data set before anything is trained on it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.data_options import data_options, section_options
from ssl_pcb.config.auditing import DuplicatesConfig, ShortcutsConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.load import load_config
from ssl_pcb.errors import UserError

PATH = click.Path(path_type=Path)
OF_DATA = tuple(DataConfig.model_fields)


@click.command()
@click.argument("data", type=PATH)
@click.option("--out", type=PATH, help="New folder for the results.  [default: runs/audit-shortcuts-DATE-TIME]")
@section_options(ShortcutsConfig)
@data_options("bit_depth", "max_pixels", "skip_bad")
def shortcuts(data: Path, out: Path | None, **flags: Any) -> None:
    """Can the labels of the manifest DATA be told without a look at the defects?

    By how files were saved and cut (this fails), by places in the panel, and by what pictures show as a whole (these
    are reported). Each cue is judged on boards that its model has not seen. Labels of split 'test' are not looked at.
    """
    from ssl_pcb.stages.audit_shortcuts import audit_shortcuts

    config = load_config(ShortcutsConfig, overrides=_given(flags, of_data=False))
    of_data = load_config(DataConfig, overrides=_given(flags, of_data=True) | {"manifest": data})
    passed = audit_shortcuts(config, of_data, out or _new_folder("shortcuts"))
    sys.exit(0 if passed else 1)


@click.command()
@click.argument("data", type=PATH)
@click.option("--out", type=PATH, help="New folder for the results.  [default: runs/audit-duplicates-DATE-TIME]")
@click.option(
    "--run", type=PATH,
    help="Finished run whose network looks for what is alike.  [default: small pictures of the samples]",
)  # fmt: skip
@section_options(DuplicatesConfig)
@data_options("image_size", "max_pixels", "skip_bad", "cache")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where --run computes.",
)  # fmt: skip
def duplicates(data: Path, out: Path | None, run: Path | None, device: str, **flags: Any) -> None:
    """Which samples of the manifest DATA are copies of one another?

    Equal files, equal pixels, and the same shot turned, mirrored, saved anew or brightened. Copies in different splits
    fail; others are reported.
    """
    asked = _given(flags, of_data=True)
    if run is not None and "image_size" in asked:
        raise UserError("--image-size: with --run it is that of the run; leave it out")
    config = load_config(DuplicatesConfig, overrides=_given(flags, of_data=False))
    of_data = load_config(DataConfig, overrides=asked | {"manifest": data})
    from ssl_pcb.stages.audit_duplicates import audit_duplicates

    given = {name: getattr(of_data, name) for name in ("manifest", *asked)}
    passed = audit_duplicates(config, given, run, device, out or _new_folder("duplicates"))
    sys.exit(0 if passed else 1)


def _given(flags: dict[str, Any], *, of_data: bool) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None and (name in OF_DATA) == of_data}


def _new_folder(audit: str) -> Path:
    return Path("runs") / f"audit-{audit}-{datetime.now():%Y%m%d-%H%M%S}"
