"""Golden images put together from repeats, and a picture of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ssl_pcb.audit.drawing import CUT, save_sheet
from ssl_pcb.audit.pair_sheet import Pair, draw_pairs
from ssl_pcb.augment.difference import different
from ssl_pcb.data.golden.consensus import MAJORITY
from ssl_pcb.data.golden.find import Found, find_golden
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.imaging.decode import decode
from ssl_pcb.imaging.orientation import Image8

PICTURE = "golden.png"
SHOWN = 6
"""Images in the picture."""
SIDE = 320
"""Side in pixels of each of its pictures."""
LOOKED_AT = 2 * SIDE
"""Longer side in pixels at which image and golden image are compared for the picture."""


def make_golden(manifest: Manifest, out: Path, *, max_pixels: int, **options: Any) -> Found:
    """Put golden images together in ``out`` and draw ``golden.png``: some beside their images, and where they differ.

    Args:
        manifest: Images, and their boards.
        out: Folder to make.
        max_pixels: Refuse larger images.
        **options: Further ones of :func:`ssl_pcb.data.golden.find.find_golden`.

    Raises:
        UserError: As :func:`~ssl_pcb.data.golden.find.find_golden` does.
    """
    found = find_golden(manifest, out, max_pixels=max_pixels, **options)
    pairs = list(_pairs(found, manifest.root, max_pixels))
    title = "Images beside their golden images, the least repeated first; red: where they differ"
    save_sheet(draw_pairs(title, pairs, columns=2, side=SIDE), out / PICTURE)
    return found


def _pairs(found: Found, root: Path, max_pixels: int) -> Iterator[Pair]:
    """From the image of which least is repeated to the one of which most is, evenly."""
    table = found.table.assign(share=found.table["repeated"] / found.table["blocks"]).sort_values("share")
    chosen = np.unique(np.linspace(0, len(table) - 1, SHOWN).round().astype(int))
    for row in table.iloc[chosen].itertuples():
        image, picture = (
            _shown(decode(file, channels=3, bit_depth=found.bit_depth, max_pixels=max_pixels))
            for file in (root / str(row.path), found.manifest.parent / str(row.golden))
        )
        repeated = f"{row.repeated} of {row.blocks} blocks have {MAJORITY} repeats"
        yield Pair((_marked(image, picture), picture), ((str(row.path),), (f"golden image: {repeated}",)))


def _shown(pixels: Image8) -> Image8:
    picture = Image.fromarray(pixels)
    picture.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.BOX)
    return np.asarray(picture)


def _marked(image: Image8, other: Image8) -> Image8:
    """``image`` with red where it differs from ``other``."""
    one, two = (torch.from_numpy(each.astype(np.float32) / 255).permute(2, 0, 1)[None] for each in (image, other))
    differs: NDArray[np.bool_] = different(one, two)[0, 0].numpy()
    marked = image.copy()
    marked[differs] = CUT
    return marked
