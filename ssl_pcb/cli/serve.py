"""``ssl-pcb serve``: verdicts over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.judging_options import judging_options, opened
from ssl_pcb.errors import UserError

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=PATH)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; others need a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 = any that is free.")
@click.option(
    "--token-file", type=PATH,
    help="File with the token that others must send.  [default: the variable SSL_PCB_TOKEN; without it, none]",
)  # fmt: skip
@click.option("--max-mib", type=click.IntRange(1, 4096), default=64, show_default=True, help="Largest request, in MiB.")
@click.option(
    "--batch-size", type=click.IntRange(1, 1024), default=16, show_default=True, help="Images judged together at most."
)
@click.option(
    "--batch-wait", type=click.FloatRange(0, 1000), default=5, show_default=True,
    help="Milliseconds that a batch which is not full waits for more.",
)  # fmt: skip
@click.option(
    "--queue", type=click.IntRange(1, 100_000), default=256, show_default=True,
    help="Images that may wait; those beyond are answered 503.",
)  # fmt: skip
@judging_options
def serve(model: Path, host: str, port: int, token_file: Path | None, **flags: Any) -> None:
    """Judge images that are sent by HTTP with MODEL: a run folder of finetune, or an .onnx file of 'ssl-pcb export'.

    POST images to /predict for their rows as 'ssl-pcb predict' has them; open / in a browser to drop images on a page.
    /health and /metrics are for whoever watches. SIGTERM or Ctrl-C stops it when all that was accepted is answered.
    """
    try:
        from ssl_pcb.deploy.service.access import read_token
        from ssl_pcb.deploy.service.limits import MIB, MOST_PIXELS, Limits
        from ssl_pcb.stages.serve import serve as run
    except ModuleNotFoundError as error:
        raise UserError(
            f"the package {error.name} is not installed, which a service needs: in the project's folder, "
            "python -m pip install -e '.[serve]'"
        ) from None

    token = read_token(token_file, os.environ)
    predictor = opened(model, flags)
    limits = Limits(
        max_pixels=flags["max_pixels"] or min(predictor.facts.max_pixels, MOST_PIXELS),
        max_bytes=flags["max_mib"] * MIB,
        batch=flags["batch_size"], wait=flags["batch_wait"] / 1000, queue=flags["queue"],
    )  # fmt: skip
    run(predictor, limits, host, port, token, model)


COMMANDS = {"serve": serve}
