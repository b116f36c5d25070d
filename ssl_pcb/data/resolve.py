"""Automatic data settings made explicit, and what the chosen image size does to the samples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest, parse_boxes
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import ImageInfo, decode, probe, significant_bits

log = logging.getLogger(__name__)

SAMPLED_FILES = 64
COLOUR_TOLERANCE = 16
"""Largest difference between channels that JPEG's rounding alone can leave in a grey picture."""

MEND = "'ssl-pcb data check' lists all bad files, --skip-bad goes on"
COLOUR_SHARE = 0.05
"""Share of images in colour from which on a data set counts as one in colour."""


def probe_files(
    manifest: Manifest, config: DataConfig, most: int | None = None
) -> tuple[dict[str, ImageInfo], dict[str, str]]:
    """Headers of the distinct files by manifest path, and the faults of unreadable ones.

    Args:
        manifest: Names the files.
        config: Limits.
        most: Read only so many, evenly spaced; ``None`` = all.

    Raises:
        UserError: At the first unreadable file, unless ``skip_bad``; if none can be read.
    """
    found, bad = {}, {}
    paths: Sequence[str] = manifest.frame["path"].drop_duplicates().array
    for path in _spread(paths, most or len(paths)):
        try:
            found[path] = probe(manifest.root / path, config.max_pixels)
        except UserError as error:
            if not config.skip_bad:
                raise UserError(f"{error}; {MEND}") from None
            bad[path] = str(error)
    if not found:
        raise UserError("none of the manifest's images can be read; see 'ssl-pcb data check'")
    return found, bad


def resolve(config: DataConfig, manifest: Manifest, infos: dict[str, ImageInfo]) -> DataConfig:
    """``config`` with ``channels`` and ``bit_depth`` decided from the files."""
    updates: dict[str, object] = {}
    if config.channels == "auto":
        updates["channels"] = 3 if _share_in_colour(manifest, infos, config) >= COLOUR_SHARE else 1
    if config.bit_depth == "auto":
        deep = [manifest.root / path for path, info in infos.items() if info.bits == 16]
        looked_at = _spread(deep, SAMPLED_FILES)
        bits = [_measure(lambda p: significant_bits(p, config.max_pixels), path, config) for path in looked_at]
        # Where none of the files looked at is deep, one that turns up later is refused by name, not read too dark.
        updates["bit_depth"] = max((found for found in bits if found), default=8)
        if deep:
            log.info("%d files of 16 bits hold values of %s bits (data.bit_depth)", len(deep), updates["bit_depth"])
    return config.model_copy(update=updates)


def margin_pixels(config: DataConfig, manifest: Manifest) -> int:
    """Width of the ring of surroundings in pixels; 0 for whole images, which have none to show.

    Raises:
        UserError: If whole images are to show some.
    """
    if manifest.frame["crop"].ne("").any():
        return config.margin_pixels
    if config.context:
        raise UserError("data.context: shows what surrounds a tile, and these are whole images; set it to 0")
    return 0


def describe_scale(manifest: Manifest, sizes: NDArray[np.integer[Any]], size: int, context: int = 0) -> list[str]:
    """Say what ``size`` does to the samples and how many pixels the median defect keeps.

    Args:
        manifest: The samples.
        sizes: (N, 2) width and height of each sample's source image; 0 if it could not be read.
        size: Side of a sample in pixels.
        context: Pixels that are seen around it on each side.

    Returns:
        One or two sentences for the log.
    """
    readable = sizes[:, 0] > 0
    longer = np.where(manifest.frame["crop"].eq(""), sizes.max(1), crop_sizes(manifest.frame["crop"]).max(1))
    side = float(np.median(longer[readable]))
    line = f"samples are {side:g} px on their longer side (median) and the network sees {size} px: "
    line += "kept as they are" if side == size else f"{'shrunk' if side > size else 'enlarged'} to {size / side:.0%}"
    smaller = int((longer[readable] < size).sum())
    if side > size and smaller:
        line += f", {smaller} smaller ones enlarged"
    if context:
        line += f"; around them {context} px of what surrounds them"
    boxed = np.flatnonzero(readable & manifest.frame["boxes"].ne("").to_numpy())
    defects = [
        max(x2 - x1, y2 - y1) * size / longer[row]
        for row, text in zip(boxed, manifest.frame["boxes"].iloc[boxed], strict=True)
        for x1, y1, x2, y2 in parse_boxes(text)
    ]
    if not defects:
        return [line]
    return [line, f"the median defect covers {np.median(defects):.0f} px of those {size} ({len(defects)} boxes)"]


def crop_sizes(crops: pd.Series[str]) -> NDArray[np.float64]:
    """(N, 2) width and height of each crop; 0 where there is none."""
    codes, texts = pd.factorize(crops)  # tiles of a grid repeat
    boxes = [parse_boxes(text)[0] if text else (0, 0, 0, 0) for text in texts]
    return np.array([(x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes], np.float64).reshape(-1, 2)[codes]


Item = TypeVar("Item")


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` of ``items``, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int))
    return [items[position] for position in chosen.tolist()]


def _share_in_colour(manifest: Manifest, infos: dict[str, ImageInfo], config: DataConfig) -> float:
    # An RGB header is no proof: scanners save grey pictures as RGB. And one picture with a coloured mark does
    # not make a colour set.
    rgb = [manifest.root / path for path, info in infos.items() if info.channels == 3]
    looked_at = _spread(rgb, SAMPLED_FILES)
    coloured: list[Path] = []
    share = 0.0
    for path in looked_at:
        if share < COLOUR_SHARE and _measure(lambda p: _has_colour(p, config), path, config):
            coloured.append(path)
            share = len(coloured) / len(looked_at) * len(rgb) / len(infos)
    if 0 < share < COLOUR_SHARE:
        log.warning(
            "few images have colour (%s, for one): all are read as grey; data.channels=3 keeps it", coloured[0].name
        )
    return share


def _measure(measure: Callable[[Path], int], path: Path, config: DataConfig) -> int:
    """``measure(path)``; 0 for a damaged file that will be left out."""
    try:
        return measure(path)
    except UserError as error:
        if config.skip_bad:
            return 0
        raise UserError(f"{error}; {MEND}") from None


def _has_colour(path: Path, config: DataConfig) -> bool:
    red, green, blue = np.moveaxis(decode(path, channels=3, max_pixels=config.max_pixels), 2, 0)
    highest, lowest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return bool((highest - lowest).max() > COLOUR_TOLERANCE)
