"""Training samples of a manifest as encoded images, each source file read once."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import imagecodecs
import numpy as np

from ssl_pcb.data.cutting import HASH_BYTES, StoreSpec
from ssl_pcb.data.manifest import LABELS, Manifest, Sample, format_boxes
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.resolve import MEND
from ssl_pcb.data.shards.facts import Facts
from ssl_pcb.errors import BitDepthError, UserError
from ssl_pcb.imaging.decode import decode_for_cut, probe
from ssl_pcb.imaging.encoded import Encoded as ImageBytes
from ssl_pcb.imaging.orientation import Image8
from ssl_pcb.imaging.resize import cut, size_of
from ssl_pcb.imaging.tiling import clip_box

JPEG_QUALITY = 95
PNG_LEVEL = 3
"""zlib's default of 6 takes three times as long to save a twentieth."""

Kind = Literal["png", "jpg"]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Encoded:
    """A sample as it goes into a shard.

    Attributes:
        row: Its row in the manifest.
        image: The png or jpg file.
        json: The json member.
        facts: What the json says.
        source_size: Width and height of the source image in pixels.
    """

    row: int
    image: bytes
    json: bytes
    facts: Facts
    source_size: tuple[int, int]


@dataclass(frozen=True)
class Transform:
    """How source files become encoded samples.

    Attributes:
        spec: Size, ring, channels, bit depth.
        kind: ``png`` or ``jpg``.
        max_pixels: Larger source images are refused.
    """

    spec: StoreSpec
    kind: Kind
    max_pixels: int


class KeptApart:
    """Contents of the images that must not be learned from, to find copies of them.

    Args:
        manifest: All samples; the files of its splits ``val``, ``test`` and ``holdout`` are read.
    """

    def __init__(self, manifest: Manifest) -> None:
        frame = manifest.frame
        self.judged = self._hashes(manifest, frame["path"][frame["split"].isin(["val", "test"])].unique())
        self.holdout = self._hashes(manifest, frame["path"][frame["split"].eq("holdout")].unique())

    @staticmethod
    def _hashes(manifest: Manifest, paths: Iterable[str]) -> frozenset[bytes]:
        files = (manifest.root / path for path in paths)
        # What cannot be read has been said already, or is left out.
        return frozenset(found for found in ahead(_hash_or_none, files, cores()) if found)

    def holds(self, sample: Encoded, path: str) -> bool:
        """Whether a sample without a split is a copy of such an image.

        Raises:
            UserError: If a training sample is a copy of a validation or test image.
        """
        content = sample.facts.hash
        if sample.facts.split:
            if content in self.judged:
                raise UserError(
                    f"{path}: is a copy of a validation or test image; "
                    "'ssl-pcb data check' lists all of them; keep one of each, or give all the same split"
                )
            return False
        return content in self.judged or content in self.holdout


def encode_file(samples: list[Sample], name: str, transform: Transform) -> list[Encoded]:
    """Decode one source file and encode all samples that it holds.

    Args:
        samples: Samples of one file.
        name: Its path as the manifest has it.
        transform: How.

    Raises:
        UserError: If the file cannot be read, or a crop leaves it.
    """
    path, spec = samples[0].path, transform.spec
    source = ImageBytes(str(path), _read(path))
    picture = decode_for_cut(source, channels=spec.channels, bit_depth=spec.bit_depth, max_pixels=transform.max_pixels)
    content = hashlib.sha256(source.data).digest()[:HASH_BYTES]
    width, height = size_of(picture)
    found = []
    for sample in samples:
        if sample.crop and clip_box(sample.crop, (0, 0, width, height)) != sample.crop:
            crop = format_boxes([sample.crop])
            raise UserError(f"{path}: row {sample.index + 1} crops {crop} of {width}x{height} px")
        image = _encode(cut(picture, sample.crop, spec.size, spec.margin), transform.kind)
        facts = _facts(sample, content, spec)
        found.append(Encoded(sample.index, image, _json(sample, name, facts), facts, (width, height)))
    return found


def _facts(sample: Sample, content: bytes, spec: StoreSpec) -> Facts:
    crop = format_boxes([sample.crop]) if sample.crop else ""
    return Facts(content, sample.label, sample.group, sample.split, crop, spec.size, spec.margin)


def _json(sample: Sample, name: str, facts: Facts) -> bytes:
    record = {
        "path": name, "label": LABELS[facts.label] if facts.label >= 0 else "", "group": facts.group,
        "split": facts.split, "crop": facts.crop, "boxes": format_boxes(sample.boxes),
        "types": ";".join(sample.types), "size": facts.size, "margin": facts.margin, "hash": facts.hash.hex(),
    }  # fmt: skip
    return json.dumps(record).encode()


def _encode(pixels: Image8, kind: Kind) -> bytes:
    # Not Pillow, which holds the interpreter lock while it encodes.
    pixels = np.ascontiguousarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    if kind == "png":
        return bytes(imagecodecs.png_encode(pixels, level=PNG_LEVEL))
    return bytes(imagecodecs.jpeg8_encode(pixels, level=JPEG_QUALITY, subsampling="444"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        probe(path)  # says why, in its own words
        raise


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:HASH_BYTES]


def _hash_or_none(path: Path) -> bytes | None:
    try:
        return _hash(path)
    except OSError:
        return None


def ahead(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """``function`` of each item, in order, by threads that are at most ``2 * threads`` items ahead.

    ``Executor.map`` would be ahead without a limit, and its results would fill the memory.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def attempt(path: str, encode: Callable[[], list[Encoded]], skip_bad: bool, bad: dict[str, str]) -> list[Encoded]:
    """The samples of a file; none, and a note in ``bad``, if it cannot be read and may be left out.

    Raises:
        UserError: If it cannot be read and may not be left out.
    """
    try:
        return encode()
    except BitDepthError:
        raise
    except UserError as error:
        if not skip_bad:
            raise UserError(f"{error}; {MEND}") from None
        bad[path] = str(error)
        return []
