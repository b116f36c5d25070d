"""A picture of what augmentations do to defects."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ssl_pcb.audit.augmentations import IN_VIEW, boxed_rows
from ssl_pcb.audit.pixels import BoxedSample, PixelSource
from ssl_pcb.audit.view_measures import Point, polygons_in_view, shares_in_view
from ssl_pcb.augment.views import ViewMaker, plain_view
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError

TILE, GAP, BLOCK_GAP, HEADER = 128, 4, 22, 34
KEPT, CUT, INK, PAPER = (0, 170, 95), (225, 30, 45), (25, 25, 25), (255, 255, 255)
OUTSET = 2.0  # sample pixels between a defect's box and its outline, which must not hide the defect


@dataclass(frozen=True)
class _Tile:
    """A view: (C, S, S) pixels in [0, 1], its defects' outlines in view pixels, and the share of each in it."""

    pixels: Tensor
    outlines: list[list[Point]]
    shares: list[float]


def contact_sheet(
    manifest: Manifest,
    data: DataConfig,
    views: Mapping[str, ViewConfig],
    path: Path,
    *,
    samples: int = 6,
    per_sample: int = 5,
    seed: int = 0,
) -> None:
    """Draw defective samples, and views of them under several augmentations, as a PNG.

    A row is a sample: first itself, then its views. Defects are outlined, in red where the view cuts them.

    Args:
        manifest: Samples, some with defect boxes.
        data: Image size, ring of surroundings and channels as in training.
        views: Heading to augmentation.
        path: File to write.
        samples: Most rows.
        per_sample: Views under each augmentation.
        seed: Seed of samples and views.

    Raises:
        UserError: If no sample shows a defect box, an image is unreadable, or the file cannot be written.
    """
    source = PixelSource.open(manifest, data)
    rows = _varied(manifest, boxed_rows(source, len(manifest), seed), samples, seed)
    chosen = list(source.boxed(rows))
    if not chosen:
        raise UserError("manifest: no sample shows a defect box; a contact sheet needs the column 'boxes'")
    generator = torch.Generator().manual_seed(seed)
    blocks = {"sample": [[_sample_tile(sample, data.image_size)] for sample in chosen]}
    for name, config in views.items():
        maker = ViewMaker(config, data.image_size)
        blocks[name] = [_view_tiles(sample, maker, per_sample, generator) for sample in chosen]
    _save(_draw_sheet(blocks), path)


def _varied(manifest: Manifest, rows: Sequence[int], count: int, seed: int) -> list[int]:
    """``count`` of ``rows``, as many kinds of defect as there are before any comes again."""
    shuffled = manifest.frame["types"].iloc[np.random.default_rng(seed).permutation(rows)]
    turn = shuffled.groupby(shuffled).cumcount()
    return [int(row) for row in turn.sort_values(kind="stable").index[:count]]


def _sample_tile(sample: BoxedSample, size: int) -> _Tile:
    outlines = polygons_in_view(_grown(sample.boxes), torch.eye(2, 3)[None], size)[0]
    return _Tile(plain_view(sample.pixels, size), outlines, [1.0] * len(outlines))


def _view_tiles(sample: BoxedSample, maker: ViewMaker, count: int, generator: torch.Generator) -> list[_Tile]:
    draw = maker.draw(count, len(sample.pixels), generator)
    pixels = maker.apply(sample.pixels.expand(count, -1, -1, -1), draw)
    outlines = polygons_in_view(_grown(sample.boxes), draw.maps, maker.size)
    shares = shares_in_view(sample.boxes, draw.maps, maker.size)
    return [_Tile(*tile) for tile in zip(pixels, outlines, shares, strict=True)]


def _grown(boxes: Tensor) -> Tensor:
    return boxes + torch.tensor([-OUTSET, -OUTSET, OUTSET, OUTSET])


def _draw_sheet(blocks: Mapping[str, list[list[_Tile]]]) -> Image.Image:
    """Blocks of tiles side by side, each under its heading."""
    starts, x = {}, GAP
    for name, rows in blocks.items():
        starts[name] = x
        x += len(rows[0]) * (TILE + GAP) - GAP + BLOCK_GAP
    height = HEADER + len(next(iter(blocks.values()))) * (TILE + GAP)
    sheet = Image.new("RGB", (x - BLOCK_GAP + GAP, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for name, rows in blocks.items():
        width = len(rows[0]) * (TILE + GAP) - GAP
        pen.text((starts[name] + width / 2, HEADER / 2), name, INK, font, anchor="mm")
        for row, tiles in enumerate(rows):
            for column, tile in enumerate(tiles):
                corner = starts[name] + column * (TILE + GAP), HEADER + row * (TILE + GAP)
                sheet.paste(_draw_tile(tile), corner)
    return sheet


def _draw_tile(tile: _Tile) -> Image.Image:
    pixels = (tile.pixels.permute(1, 2, 0) * 255).round().byte().numpy()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    scale = TILE / picture.width
    # Drawn at twice the size and reduced, for smooth lines.
    picture = picture.resize((2 * TILE, 2 * TILE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for outline, share in zip(tile.outlines, tile.shares, strict=True):
        points = [(2 * scale * x, 2 * scale * y) for x, y in [*outline, outline[0], outline[1]]]
        pen.line(points, PAPER, 9, joint="curve")
        pen.line(points, KEPT if share >= IN_VIEW else CUT, 5, joint="curve")
    if min(tile.shares) < IN_VIEW:
        _mark_cut(pen, tile)
    return picture.resize((TILE, TILE), Image.Resampling.BOX)


def _mark_cut(pen: ImageDraw.ImageDraw, tile: _Tile) -> None:
    side, font = 2 * TILE, ImageFont.load_default(34)
    pen.rectangle((0, 0, side - 1, side - 1), outline=CUT, width=8)
    worst = min(tile.shares)
    text = f"{worst:.0%} left"
    if max(tile.shares) < 0.005:
        text = "lost"
    elif len(tile.shares) > 1:
        text = f"{sum(share < IN_VIEW for share in tile.shares)} of {len(tile.shares)} cut"
    # Away from what is left of the defect.
    low = sum(y for _, y in tile.outlines[tile.shares.index(worst)]) / 4 > tile.pixels.shape[-1] / 2
    at, anchor = ((16, 12), "la") if low else ((16, side - 14), "ls")
    left, top, right, bottom = pen.textbbox(at, text, font, anchor)
    pen.rectangle((left - 8, top - 6, right + 8, bottom + 8), fill=CUT)
    pen.text(at, text, PAPER, font, anchor)


def _save(sheet: Image.Image, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(part, format="PNG", optimize=True)
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name another file") from error
    finally:
        part.unlink(missing_ok=True)
