"""Write a synthetic data set: images, clean twins, defect masks and a manifest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl_pcb.data.files import whole_folder
from ssl_pcb.data.manifest import LABELS, Manifest, format_boxes
from ssl_pcb.data.synthetic.defects import DEFECT_TYPES
from ssl_pcb.data.synthetic.sample import SyntheticSample, render_sample
from ssl_pcb.data.synthetic.styles import STYLES, stream
from ssl_pcb.errors import UserError

GENERATOR_VERSION = 2
"""Raised with every change that makes other pictures or another manifest from the same arguments."""

# Ten boards in turn: 60 % train, 20 % validation, 20 % test, and in each both even boards (binary in a mixed
# set) and odd ones (in colour). The first three boards already reach all three.
_SPLITS = ("train", "val", "test", "train", "train", "train", "val", "test", "train", "train")
_HOLDOUT = 0.1


def synthesize(
    out: Path | str,
    *,
    boards: int = 24,
    images_per_board: int = 40,
    image_size: int = 128,
    zoom: float = 2.0,
    style: str = "mixed",
    defect_rate: float = 0.3,
    type_rates: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Path:
    """Make a labelled synthetic data set, split by board; the same arguments write the same bytes.

    Writes ``images/<board>/<n>.png``, ``twins/...`` (the same picture without the defect), ``masks/...`` (255
    where a defect changed the copper) and ``manifest.csv``, whose columns ``twin`` and ``mask`` hold paths
    like ``path``. Boards of the binary style are single-channel, the others RGB.

    Args:
        out: Folder to make; it must not exist or must be empty.
        boards: Number of boards, at least 3, so that train, val and test have one each.
        images_per_board: Images of each board, each of another place.
        image_size: Side of the images in pixels, 32 to 1024.
        zoom: How close the camera is, 1 to 3: at 1 the median defect is a tenth of the image's side across, at 2 a
            fifth.
        style: ``mixed`` (half the boards binary, half in colour), ``binary`` or ``colour``.
        defect_rate: Probability that an image is defective, 0 to 1.
        type_rates: Relative frequency of each defect type, 0 to 1; types left out do not occur. All alike by
            default.
        seed: Seed of everything, not negative.
        progress: Called with 1 after each image (a tqdm bar's ``update`` fits).

    Returns:
        The manifest's path.

    Raises:
        UserError: On arguments out of range, or if ``out`` has something in it or cannot be written.
    """
    _check(boards, images_per_board, image_size, zoom, style, defect_rate, type_rates, seed)
    out = Path(out)
    with whole_folder(out) as part:
        rows = []
        for board, index in itertools.product(range(boards), range(images_per_board)):
            sample = render_sample(
                seed,
                board,
                index,
                image_size=image_size,
                zoom=zoom,
                style=style,
                defect_rate=defect_rate,
                type_rates=type_rates,
            )
            rows.append(_save(sample, part, seed, board, index))
            if progress is not None:
                progress(1)
        _hold_out(rows, seed)
        Manifest.build(rows, part).write(part / "manifest.csv")
    return out / "manifest.csv"


def _save(sample: SyntheticSample, folder: Path, seed: int, board: int, index: int) -> dict[str, str]:
    group = f"s{seed}-b{board:02d}"
    mask = sample.mask.astype(np.uint8)[..., None] * np.uint8(255)
    row = {}
    for column, kind, picture in (
        ("path", "images", sample.image),
        ("twin", "twins", sample.twin),
        ("mask", "masks", mask),
    ):
        row[column] = f"{kind}/{group}/{index:04d}.png"
        _write_png(picture, folder / row[column])
    return row | {
        "label": LABELS[int(sample.defective)],
        "group": group,
        "split": _SPLITS[board % len(_SPLITS)],
        "boxes": format_boxes(sample.boxes),
        "types": ";".join(sample.types),
        "style": sample.board.paint.name,
    }


def _write_png(picture: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(path, compress_level=3)


def _hold_out(rows: list[dict[str, str]], seed: int) -> None:
    """Set a tenth of the training boards' images, at least one, aside as ``holdout``."""
    train = [row for row in rows if row["split"] == "train"]
    rng = np.random.default_rng(stream(seed, 0, 0))
    for number in rng.permutation(len(train))[: max(1, round(_HOLDOUT * len(train)))]:
        train[number]["split"] = "holdout"


def _check(
    boards: int,
    images_per_board: int,
    image_size: int,
    zoom: float,
    style: str,
    defect_rate: float,
    type_rates: Mapping[str, float] | None,
    seed: int,
) -> None:
    if boards < 3:
        raise UserError(f"boards: {boards} is too few; train, val and test need a board each, so at least 3")
    if images_per_board < 1:
        raise UserError(f"images_per_board: {images_per_board} must be at least 1")
    if not 32 <= image_size <= 1024:
        raise UserError(f"image_size: {image_size} must be 32 to 1024 pixels")
    if not 1 <= zoom <= 3:
        raise UserError(f"zoom: {zoom} must be 1 to 3")
    if style not in STYLES:
        raise UserError(f"style: '{style}' is not one of {', '.join(STYLES)}")
    if not 0 <= defect_rate <= 1:
        raise UserError(f"defect_rate: {defect_rate} must be 0 to 1")
    if seed < 0:
        raise UserError(f"seed: {seed} must not be negative")
    for name, rate in (type_rates or {}).items():
        if name not in DEFECT_TYPES:
            raise UserError(f"type_rates: '{name}' is not one of {', '.join(DEFECT_TYPES)}")
        if not 0 <= rate <= 1:
            raise UserError(f"type_rates: {name}={rate} must be 0 to 1")
    if type_rates is not None and not math.fsum(type_rates.values()) > 0:
        raise UserError("type_rates: at least one defect type needs a rate above 0")
