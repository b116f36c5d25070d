"""A picture of what augmentations do to defects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssl_pcb.audit.augmentations import boxed_rows
from ssl_pcb.audit.drawing import Tile, save_sheet
from ssl_pcb.audit.pixels import BoxedSample, PixelSource
from ssl_pcb.audit.policy_rows import OUTLINES, draw_rows
from ssl_pcb.audit.view_measures import polygons_in_view, shares_in_view
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import AS_IT_IS, ViewConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError

OUTSET = 2.0  # sample pixels between a defect's box and its outline, which must not hide the defect


def contact_sheet(
    manifest: Manifest,
    data: DataConfig,
    views: Mapping[str, ViewConfig],
    path: Path,
    *,
    samples: int = 6,
    per_sample: int = 3,
    seed: int = 0,
) -> None:
    """Draw defective samples, and views of them under several augmentations, as a PNG.

    A column is a sample: first itself, then its views. Defects are outlined, in red where the view cuts them.

    Args:
        manifest: Samples, some with defect boxes.
        data: Image size, ring of surroundings and channels as in training.
        views: Name to augmentation.
        path: File to write.
        samples: Most columns.
        per_sample: Rows of views under each augmentation.
        seed: Seed of samples and views.

    Raises:
        UserError: If no sample shows a defect box, an image is unreadable, or the file cannot be written.
    """
    source = PixelSource.open(manifest, data)
    rows = varied(manifest, boxed_rows(source, len(manifest), seed), samples, seed)
    chosen = list(source.boxed(rows))
    if not chosen:
        raise UserError("manifest: no sample shows a defect box; a contact sheet needs the column 'boxes'")
    generator = torch.Generator().manual_seed(seed)
    makers = {name: ViewMaker(config, data.image_size, data.context) for name, config in views.items()}
    as_it_is = ViewMaker(AS_IT_IS, data.image_size, data.context)
    blocks = {"sample": [list(chain.from_iterable(_view_tiles(sample, as_it_is, 1, generator) for sample in chosen))]}
    for name, maker in makers.items():
        columns = [_view_tiles(sample, maker, per_sample, generator) for sample in chosen]
        blocks[name] = [list(row) for row in zip(*columns, strict=True)]
    save_sheet(draw_rows(blocks, OUTLINES), path)


def varied(manifest: Manifest, rows: Sequence[int], count: int, seed: int) -> list[int]:
    """``count`` of ``rows``, as many kinds of defect as there are before any comes again."""
    shuffled = manifest.frame["types"].iloc[np.random.default_rng(seed).permutation(rows)]
    turn = shuffled.groupby(shuffled).cumcount()
    return [int(row) for row in turn.sort_values(kind="stable").index[:count]]


def _view_tiles(sample: BoxedSample, maker: ViewMaker, count: int, generator: torch.Generator) -> list[Tile]:
    draw = maker.draw(count, len(sample.pixels), generator)
    pixels = maker.apply(sample.pixels.expand(count, -1, -1, -1), draw)
    outlines = polygons_in_view(grown(sample.boxes), draw.maps, maker.size)
    shares = shares_in_view(sample.boxes, draw.maps, maker.size, maker.aside)
    return [Tile(*tile, aside=maker.aside) for tile in zip(pixels, outlines, shares, strict=True)]


def grown(boxes: Tensor) -> Tensor:
    """Boxes (K, 4) in pixels of the sample, with room for what they enclose."""
    return boxes + torch.tensor([-OUTSET, -OUTSET, OUTSET, OUTSET])
