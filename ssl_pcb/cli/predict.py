"""``ssl-pcb predict``: verdicts for images."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from ssl_pcb.cli.judging_options import judging_options, opened
from ssl_pcb.cli.terminal import log_to_stderr
from ssl_pcb.errors import UserError

PATH = click.Path(path_type=Path)

ALL_OK, NOT_ALL_OK, UNREADABLE, PIPE_CLOSED = 0, 1, 3, 141
"""Exit codes; 2 stands for what the user can mend, as everywhere, and 141 is what shells say of a closed pipe."""


@click.command()
@click.argument("model", type=PATH)
@click.argument("paths", nargs=-1, required=True)
@click.option("--format", "chosen", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("-o", "--out", default="-", show_default=True, help="File to write; - = standard output.")
@click.option(
    "--reference", type=PATH,
    help="Golden image of all, or a folder with one of the same file name for each: the plain difference is given too. "
    " [default: a manifest's column 'reference']",
)  # fmt: skip
@click.option(
    "--overlays", type=PATH,
    help="New folder for a picture of each image that is not OK: the heat map over it, its suspects outlined.",
)  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), help="Samples at a time.  [default: by their size]")
@judging_options
def predict(model: Path, paths: tuple[str, ...], chosen: Any, out: str, batch_size: int | None, **flags: Any) -> int:
    """Judge images with MODEL: a run folder of finetune, or an .onnx file from 'ssl-pcb export'.

    PATHS are images, folders, globs, manifests (.csv, .parquet), or - for a list on standard input. Of a model that
    judges tiles, whole panels are judged by overlapping windows.

    Exit codes: 0 all are OK; 1 some are NG or REVIEW; 2 the call or the model is at fault, the message says how; 3
    some files could not be read, whatever the others are.
    """
    log_to_stderr()
    from ssl_pcb.deploy.listing import listed
    from ssl_pcb.deploy.overlays import drawn
    from ssl_pcb.deploy.rows import write_rows

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # file names need not be text
    items = listed(paths, sys.stdin, flags["reference"])
    classifier = opened(model, flags)
    limits = {"max_pixels": flags["max_pixels"], "batch": batch_size}
    if flags["overlays"] is None:
        found = classifier.stream(items, **limits)
    else:
        found = drawn(classifier, items, flags["overlays"], **limits)
    try:
        with _opened(out) as target:
            counts = Counter(each.verdict for each in write_rows(found, chosen, target))
            if not counts:
                raise UserError("PATHS: name no image, so that nothing was judged")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        return PIPE_CLOSED
    said = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in ("OK", "REVIEW", "NG") if counts[verdict])
    unread = f"{counts[None]:,} could not be read (column error)" if counts[None] else ""
    click.echo("; ".join(part for part in (said, unread) if part), err=True)
    return UNREADABLE if counts[None] else NOT_ALL_OK if counts["NG"] + counts["REVIEW"] else ALL_OK


@contextmanager
def _opened(out: str) -> Iterator[TextIO]:
    from ssl_pcb.data.files import whole_file

    # A file name that is no text is written with escapes: no name keeps the others from being judged.
    if out == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        yield sys.stdout
    else:
        with (
            whole_file(Path(out)) as part,
            part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as f,
        ):
            yield f


COMMANDS = {"predict": predict}
