"""``ssl-pcb data``: manifests made, imported, checked, split and relabelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.data_golden import golden
from ssl_pcb.cli.data_pack import pack
from ssl_pcb.cli.data_relabel import relabel
from ssl_pcb.cli.data_shards import shards
from ssl_pcb.cli.seed import SEED
from ssl_pcb.cli.terminal import printable
from ssl_pcb.data.kinds import KINDS
from ssl_pcb.errors import UserError

PATH = click.Path(path_type=Path)


@click.group()
def data() -> None:
    """Make, import, check, split and relabel manifests; pack them, or write shards."""


@data.command()
@click.argument("out", type=PATH)
@click.option("--boards", default=24, show_default=True, help="Boards.")
@click.option("--images-per-board", default=40, show_default=True, help="Images of each board.")
@click.option("--image-size", default=128, show_default=True, help="Side of the images in pixels.")
@click.option("--zoom", default=2.0, show_default=True, help="How close the camera is, 1 to 3.")
@click.option(
    "--style", type=click.Choice(["mixed", "binary", "colour"]), default="mixed", show_default=True,
    help="DeepPCB's black and white, coloured solder masks, or both.",
)  # fmt: skip
@click.option("--defect-rate", default=0.3, show_default=True, help="Share of images with a defect.")
@click.option(
    "--type-rates", default=None, metavar="TYPE=RATE,...",
    help="Relative rates of open, short, mousebite, spur, copper, pin-hole.  [default: all alike]",
)  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed.")
def synth(out: Path, type_rates: str | None, **arguments: Any) -> None:
    """Paint synthetic boards into the new folder OUT: images, masks, clean twins and a split manifest."""
    from ssl_pcb.data.synthetic.generate import synthesize

    rates = {name: _number(value, "--type-rates") for name, value in _pairs(type_rates, "--type-rates").items()}
    manifest = synthesize(out, type_rates=rates or None, **arguments)
    _summarise(manifest)


@data.command("import")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("src", type=PATH)
@click.argument("out", type=PATH)
@click.option("--label-map", metavar="NAME=LABEL,...", help="Your names to Defective, NonDefective or unlabelled.")
@click.option(
    "--group-from", metavar="parent|REGEX|COLUMN|none",
    help="What names the board: the parent folder, a regex with one group on the path, a table's column, or none "
    "(near-duplicates then stay together).  [default: the format's own, else none]",
)  # fmt: skip
@click.option("--tile", type=int, help="Cut box-annotated images into tiles of this side; 0 = do not.  "
              "[default: 128 for deeppcb, else whole images]")  # fmt: skip
@click.option("--overlap", default=0, show_default=True, help="Overlap of neighbouring tiles in pixels.")
@click.option("--min-box-share", default=0.5, show_default=True, help="Share of a box that makes a tile Defective.")
@click.option(
    "--blank-std", type=float,
    help="Grey deviation (0 to 127.5) below which a tile is blank and left out.  [default: 20 for deeppcb, else 4]",
)  # fmt: skip
@click.option("--templates", is_flag=True, help="deeppcb: also take template tiles (their file format leaks).")
@click.option(
    "--box-frame", type=click.Choice(["auto", "stored", "upright"]), default="auto", show_default=True,
    help="Whether boxes are in stored or in upright (EXIF-turned) pixels.",
)  # fmt: skip
@click.option("--max-pixels", default=300_000_000, show_default=True, help="Larger images are refused.")
@click.option("--skip-bad", is_flag=True, help="Leave unreadable images out instead of stopping at the first.")
@click.option("--overwrite", is_flag=True, help="Replace OUT where it exists.")
def import_(kind: str, src: Path, out: Path, label_map: str | None, **options: Any) -> None:
    """Make the manifest OUT (.csv or .parquet) of the images of KIND at SRC."""
    from ssl_pcb.data.importers import ImportOptions, import_dataset

    summary = import_dataset(kind, src, out, ImportOptions(label_map=_pairs(label_map, "--label-map"), **options))
    _echo(summary.lines())


@data.command()
@click.argument("manifest", type=PATH)
@click.option("--max-pixels", default=300_000_000, show_default=True, help="Larger images count as bad.")
def check(manifest: Path, max_pixels: int) -> None:
    """Decode every image of MANIFEST and list all that is wrong. Exit code 2 if anything is."""
    from tqdm import tqdm

    from ssl_pcb.data.check import check_manifest
    from ssl_pcb.data.manifest import Manifest

    with tqdm(desc="checking", unit="file", disable=None, leave=False) as bar:
        report = check_manifest(Manifest.read(manifest), max_pixels=max_pixels, progress=lambda: bar.update())
    _echo(report.lines())
    if not report.ok:
        raise UserError(f"{manifest}: has faults, listed above")


@data.command()
@click.argument("manifest", type=PATH)
@click.option("--out", type=PATH, help="Write there instead of over MANIFEST.")
@click.option("--ratios", default="0.6,0.2,0.2", show_default=True, help="Shares of train, val, test.")
@click.option(
    "--assign", multiple=True, metavar="SPLIT=GROUP,...",
    help="Name the boards of a split yourself; once for each of train, val, test.",
)  # fmt: skip
@click.option("--holdout", default=0.1, show_default=True, help="Share of training boards' images kept apart.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed.")
def split(manifest: Path, out: Path | None, ratios: str, assign: tuple[str, ...], holdout: float, seed: int) -> None:
    """Split MANIFEST by board into train, val and test, and keep some training images apart."""
    from ssl_pcb.data.manifest import Manifest
    from ssl_pcb.data.splits import describe_splits, split_manifest

    shares = tuple(_number(text, "--ratios") for text in ratios.split(","))
    if len(shares) != 3:
        raise UserError(f"--ratios {ratios}: must be three numbers, for train, val and test")
    named = {name: groups.split(",") for name, groups in (_pair(item, "--assign") for item in assign)}
    rows = Manifest.read(manifest, ignore_splits=True)
    result = split_manifest(rows, ratios=shares, assign=named or None, holdout=holdout, seed=seed)
    result.write(out or manifest)
    click.echo(describe_splits(result))


def _echo(lines: list[str]) -> None:
    # They name files, and file names are other people's text.
    for line in lines:
        click.echo(printable(line))


def _summarise(path: Path) -> None:
    from ssl_pcb.data.manifest import Manifest
    from ssl_pcb.data.splits import describe_splits

    click.echo(f"manifest: {path}")
    click.echo(describe_splits(Manifest.read(path)))


def _pairs(text: str | None, flag: str) -> dict[str, str]:
    return dict(_pair(item, flag) for item in text.split(",")) if text else {}


def _pair(item: str, flag: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not (name and equals and value):
        raise UserError(f"{flag} {item}: must be NAME=VALUE")
    return name.strip(), value.strip()


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{flag}: '{text}' is not a number") from None


data.add_command(relabel)
data.add_command(golden)
data.add_command(pack)
data.add_command(shards)

COMMANDS = {"data": data}
