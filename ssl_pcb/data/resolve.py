"""Automatic data settings made explicit, and what the chosen image size does to the samples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import ImageInfo, decode, probe, significant_bits

log = logging.getLogger(__name__)

SAMPLED_FILES = 64
COLOUR_TOLERANCE = 16
"""Largest difference between channels that JPEG's rounding alone can leave in a grey picture."""

MEND = "'ssl-pcb data check' lists all bad files, --skip-bad goes on"
COLOUR_SHARE = 0.05
"""Share of images in colour from which on a data set counts as one in colour."""


def probe_files(manifest: Manifest, config: DataConfig) -> tuple[dict[str, ImageInfo], dict[str, str]]:
    """Headers of all distinct files by manifest path, and the faults of unreadable ones.

    Raises:
        UserError: At the first unreadable file, unless ``skip_bad``.
    """
    found, bad = {}, {}
    for path in manifest.frame["path"].unique():
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
        bits = [_measure(lambda p: significant_bits(p, config.max_pixels), path, config) for path in _spread(deep)]
        updates["bit_depth"] = max((found for found in bits if found), default=16)
        if deep:
            log.info("%d files of 16 bits hold values of %s bits (data.bit_depth)", len(deep), updates["bit_depth"])
    return config.model_copy(update=updates)


def margin_pixels(config: DataConfig, manifest: Manifest) -> int:
    """Width of the ring of surroundings in pixels; 0 for whole images, which have none to show."""
    return round(config.margin * config.image_size) if manifest.frame["crop"].ne("").any() else 0


def describe_scale(manifest: Manifest, infos: dict[str, ImageInfo], size: int) -> list[str]:
    """Say what ``size`` does to the samples and how many pixels the median defect keeps.

    Returns:
        One or two sentences for the log.
    """
    sides, defects = [], []
    for sample, path in zip(manifest, manifest.frame["path"], strict=True):
        if path not in infos:
            continue
        box = sample.crop or (0, 0, infos[path].width, infos[path].height)
        side = max(box[2] - box[0], box[3] - box[1])
        sides.append(side)
        defects += [max(x2 - x1, y2 - y1) * size / side for x1, y1, x2, y2 in sample.boxes]
    side = median(sides)
    line = f"samples are {side:g} px on their longer side (median) and the network sees {size} px: "
    line += "kept as they are" if side == size else f"{'shrunk' if side > size else 'enlarged'} to {size / side:.0%}"
    smaller = sum(side < size for side in sides)
    if side > size and smaller:
        line += f", {smaller} smaller ones enlarged"
    if not defects:
        return [line]
    return [line, f"the median defect covers {median(defects):.0f} px of those {size} ({len(defects)} boxes)"]


def _spread(paths: Sequence[Path]) -> Sequence[Path]:
    """At most :data:`SAMPLED_FILES` of ``paths``, evenly spaced."""
    return [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, SAMPLED_FILES).astype(int))] if paths else []


def _share_in_colour(manifest: Manifest, infos: dict[str, ImageInfo], config: DataConfig) -> float:
    # An RGB header is no proof: scanners save grey pictures as RGB. And one picture with a coloured mark does
    # not make a colour set.
    rgb = [manifest.root / path for path, info in infos.items() if info.channels == 3]
    looked_at = _spread(rgb)
    coloured = [path for path in looked_at if _measure(lambda p: _has_colour(p, config), path, config)]
    share = len(coloured) / max(1, len(looked_at)) * len(rgb) / len(infos)
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
    pixels = decode(path, channels=3, max_pixels=config.max_pixels).astype(np.int16)
    return bool((pixels.max(2) - pixels.min(2)).max() > COLOUR_TOLERANCE)
