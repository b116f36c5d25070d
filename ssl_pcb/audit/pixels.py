"""Single samples as the training stage would store them, with their defect boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_pcb.audit.described import content_hash, describe
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest, Sample
from ssl_pcb.data.resolve import margin_pixels, probe_files, resolve
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import decode
from ssl_pcb.imaging.orientation import Box, Image8
from ssl_pcb.imaging.resize import cut, map_boxes, place
from ssl_pcb.imaging.tiling import clip_box


@dataclass(frozen=True)
class BoxedSample:
    """A defective sample.

    Attributes:
        pixels: (C, H, H) uint8 with its ring of surroundings.
        twin: The same of its clean twin, or ``None`` where the manifest names none.
        boxes: (K, 4) what the sample shows of its defect boxes, in sample pixels; K is at least 1.
    """

    pixels: Tensor
    twin: Tensor | None
    boxes: Tensor


@dataclass(frozen=True)
class Neighbour:
    """A defect of the same image beside a sample, in sample pixels.

    Attributes:
        whole: All of it.
        around: The part of it in the sample or its surroundings.
        own: The part of it in the sample; without area if there is none.
    """

    whole: Box
    around: Box
    own: Box


@dataclass(frozen=True)
class PixelSource:
    """Cuts samples out of a manifest's images.

    Attributes:
        manifest: The samples.
        data: Settings, none of them automatic.
        sizes: Width and height of each readable image file, by manifest path.
        margin: Width of the ring of surroundings in pixels.
    """

    manifest: Manifest
    data: DataConfig
    sizes: dict[str, tuple[int, int]]
    margin: int

    @classmethod
    def open(cls, manifest: Manifest, data: DataConfig) -> PixelSource:
        """Read all images' headers and decide the automatic settings.

        Raises:
            UserError: On an unreadable image, unless ``data.skip_bad``.
        """
        infos, _ = probe_files(manifest, data)
        sizes = {path: (info.width, info.height) for path, info in infos.items()}
        return cls(manifest, resolve(data, manifest, infos), sizes, margin_pixels(data, manifest))

    def describe(self, name: str) -> dict[str, Any]:
        """For JSON: what an audit of the readable samples was made on."""
        found = self.manifest.select(self.manifest.frame["path"].isin(self.sizes))
        hashes = {path: content_hash((found.root / path).read_bytes()) for path in found.frame["path"].unique()}
        return describe(found, name, [hashes[path] for path in found.frame["path"]])

    def boxed(self, rows: Sequence[int]) -> Iterator[BoxedSample]:
        """The samples of ``rows`` that show a defect box, in the order of ``rows``.

        Raises:
            UserError: On an unreadable image or twin, unless ``data.skip_bad``.
        """
        shown = {row: self._boxes(row) for row in rows}
        for row, pixels, twin in self.read([row for row in rows if shown[row]]):
            yield BoxedSample(pixels, twin, torch.tensor(shown[row]))

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        """The samples of ``rows`` in their order: row, pixels (C, H, H) uint8, and its clean twin's or ``None``.

        Raises:
            UserError: On an unreadable image or twin, unless ``data.skip_bad``.
        """
        images: dict[Path, Image8] = {}
        for row in rows:
            sample = self.manifest.sample(row)
            paths = [sample.path, *self._twin(row)]
            try:
                # Rows of one image follow each other: only the last image and twin are kept.
                images = {path: images[path] if path in images else self._decode(path) for path in paths}
            except UserError:
                if not self.data.skip_bad:
                    raise
                continue
            pixels = [self._cut(images[path], sample) for path in paths]
            yield row, pixels[0], pixels[1] if len(pixels) > 1 else None

    def neighbours(self, row: int, boxes: Sequence[Box], ring: int) -> list[Neighbour]:
        """Those of the image's ``boxes`` (source pixels) that the sample or ``ring`` stored pixels around it show."""
        sample, context = self.manifest.sample(row), self.data.context
        size = self.data.image_size - 2 * context
        x1, y1, x2, y2 = (round(value) for value in sample.crop or (0, 0, *self.size_of(row)))
        placed = place(y2 - y1, x2 - x1, size)
        across, down = placed.width / (x2 - x1), placed.height / (y2 - y1)
        # Along the shorter side of a crop the ring mirrors the crop and shows no neighbour.
        aside = ring / across if placed.width == size else 0
        above = ring / down if placed.height == size else 0

        def to_sample(box: Box) -> Box:
            left, right = ((x - x1) * across + placed.left + context for x in box[::2])
            top, bottom = ((y - y1) * down + placed.top + context for y in box[1::2])
            return left, top, right, bottom

        found = []
        for box in boxes:
            around = clip_box(box, (x1 - aside, y1 - above, x2 + aside, y2 + above))
            own = clip_box(box, (x1, y1, x2, y2)) or (x1, y1, x1, y1)
            if around:
                found.append(Neighbour(to_sample(box), to_sample(around), to_sample(own)))
        return found

    def size_of(self, row: int) -> tuple[int, int]:
        """Width and height of the row's source image."""
        return self.sizes[self.manifest.frame["path"].iloc[row]]

    def _boxes(self, row: int) -> list[Box]:
        sample = self.manifest.sample(row)
        return map_boxes(sample.boxes, sample.crop, self.size_of(row), self.data.image_size, self.data.context)

    def _twin(self, row: int) -> list[Path]:
        twin = self.manifest.frame["twin"].iloc[row] if "twin" in self.manifest.frame.columns else ""
        return [self.manifest.root / twin] if twin else []

    def _decode(self, path: Path) -> Image8:
        channels, depth = int(self.data.channels), int(self.data.bit_depth)
        return decode(path, channels=channels, bit_depth=depth, max_pixels=self.data.max_pixels)

    def _cut(self, image: Image8, sample: Sample) -> Tensor:
        size, context = self.data.image_size, self.data.context
        return torch.from_numpy(cut(image, sample.crop, size - 2 * context, context + self.margin)).permute(2, 0, 1)
