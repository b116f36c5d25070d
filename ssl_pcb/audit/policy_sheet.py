"""A picture of what augmentations of supervised training make of samples, and of the labels that they give."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssl_pcb.audit.augmentations import NO_BOX, boxed_rows, open_rows
from ssl_pcb.audit.batches import AuditBatch, read_batch
from ssl_pcb.audit.contact_sheet import grown, varied
from ssl_pcb.audit.drawing import CUT, INK, Tile, save_sheet
from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.audit.policy_rows import OUTLINES, draw_rows
from ssl_pcb.audit.shown import brought_shares, defective_mass, own_shares, wrong_mass
from ssl_pcb.audit.view_measures import Point, polygons_in_view
from ssl_pcb.augment.augmented import Augmented
from ssl_pcb.augment.build import build_augment
from ssl_pcb.config.augment import NoAugmentConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.errors import UserError

SEEN = 0.05
"""Share of a pasted defect that is worth an outline."""

LEGEND = (
    *OUTLINES,
    (INK, "in the corner: how much of the label is Defective, 0 to 1"),
    (CUT, "... where most of the label is on the class that the picture does not show"),
)


def policy_sheet(
    source: PixelSource,
    policies: Mapping[str, AugmentConfig],
    path: Path,
    *,
    samples: int = 6,
    seed: int = 0,
) -> None:
    """Draw samples, and what each augmentation makes of them in a batch, as a PNG.

    A column is a sample, on top itself, and a row an augmentation; two of three samples are defective. Defects are
    outlined, the partner's too, in red where some of them is lost. In the corner stands how much of the label is
    Defective, in red where most of the label is on the class that the picture does not show. Of copies the first
    changed one is drawn.

    Raises:
        UserError: If no sample shows a defect box, an image is unreadable, or the file cannot be written.
    """
    batch, data = read_batch(source, _rows(source, samples, seed)), source.data
    blocks = {"sample": [_tiles(NoAugmentConfig(), batch, data, seed)[:samples]]}
    for name, config in policies.items():
        blocks[name] = [_tiles(config, batch, data, seed)[:samples]]
    save_sheet(draw_rows(blocks, LEGEND), path)


def _rows(source: PixelSource, count: int, seed: int) -> list[int]:
    """Rows to draw, and as many more to mix them with; every third is good."""
    frame = source.manifest.frame
    defective = varied(source.manifest, boxed_rows(source, len(frame), seed), 2 * count, seed)
    if not defective:
        raise UserError(NO_BOX)
    good = np.random.default_rng(seed).permutation(
        np.flatnonzero(open_rows(source) & frame["label"].eq("NonDefective"))
    )
    turns = zip_longest(defective[::2], defective[1::2], good[:count].tolist())
    return [row for turn in turns for row in turn if row is not None][: 2 * count]


def _tiles(config: AugmentConfig, batch: AuditBatch, data: DataConfig, seed: int) -> list[Tile]:
    """A tile for each picture."""
    size, aside, generator = data.image_size, data.context / data.image_size, torch.Generator().manual_seed(seed)
    shown = build_augment(config, size, data.context)(batch.pixels, batch.labels, generator, batch.boxes)
    count = len(shown.labels)
    pictures = shown.images[count : 2 * count] if shown.copies > 1 else shown.images
    own, brought = own_shares(shown, batch.boxes, aside), brought_shares(shown, batch.boxes, aside)
    mass, wrong = defective_mass(shown), wrong_mass(shown, batch.boxes, aside)
    tiles = []
    for index, picture in enumerate(pictures):
        outlines, shares = _outlines(shown, batch, index, own[index], size)
        if shown.mixture is not None:
            seen = torch.where(brought[index] >= SEEN, brought[index], torch.nan)
            more = _outlines(shown, batch, int(shown.mixture.partners[index]), seen, size)
            outlines, shares = outlines + more[0], shares + more[1]
        share = f"{float(mass[index]):.2f}".rstrip("0").rstrip(".")
        tiles.append(Tile(picture, outlines, shares, share, bool(wrong[index] > 0.5), aside))
    return tiles


def _outlines(
    shown: Augmented, batch: AuditBatch, index: int, shares: Tensor, size: int
) -> tuple[list[list[Point]], list[float]]:
    """Of one sample's marked boxes in its picture, those with a share."""
    known = ~shares.isnan() & batch.marked[index]
    boxes = grown(batch.boxes[index][known] * size)
    return polygons_in_view(boxes, shown.maps[index][None], size)[0], shares[known].tolist()
