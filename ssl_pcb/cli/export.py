"""``ssl-pcb export``: a run as one file that judges without torch."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_pcb.cli.judging_options import evaluation_option

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=PATH)
@click.option("-o", "--out", type=PATH, required=True, help="New .onnx file; its model card (.md) is put beside it.")
@click.option(
    "--int8", is_flag=True,
    help="Write OUT.int8.onnx too, quantised on training images, and say what that costs and gains.",
)  # fmt: skip
@evaluation_option
def export(run: Path, out: Path, int8: bool, evaluation: Path | None) -> None:
    """Write the classifier of the run folder RUN as ONNX, with preprocessing, calibration and thresholds inside.

    File and run are compared on the validation images. If one verdict differs, or a probability by more than 0.0001,
    nothing is written.
    """
    from ssl_pcb.stages.export import export as write

    write(run, out, evaluation, int8=int8)


COMMANDS = {"export": export}
