"""One file read once, for all that it and its samples may tell of their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ssl_pcb.audit.blanking import blank
from ssl_pcb.audit.content import CONTENT, as_grey, content_of, grey_counts, lossless_bytes
from ssl_pcb.audit.described import content_hash
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Sample, format_boxes
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.floors import cropped, otsu_threshold
from ssl_pcb.imaging.decode import decode
from ssl_pcb.imaging.encoded import Encoded
from ssl_pcb.imaging.orientation import Box
from ssl_pcb.imaging.tiling import clip_box
from ssl_pcb.imaging.traces import FileTraces, file_traces


@dataclass(frozen=True)
class Look:
    """What is measured of a sample and its file. The last three are NaN where nothing was blanked.

    Attributes:
        traces: Of the source file.
        digest: Content hash of the file, hexadecimal.
        size: Width and height of the upright source image.
        levels: Number of grey levels in it.
        content: :data:`~ssl_pcb.audit.content.CONTENT` of the sample.
        blanked: The same of the sample without its defects, or, of a clean one, without places as large.
        blanked_levels: Grey levels that the file would have then.
        bytes_left: Share of its bytes that the file would have then, as lossless compression tells.
    """

    traces: FileTraces
    digest: str
    size: tuple[int, int]
    levels: int
    content: Sequence[float]
    blanked: Sequence[float] = (np.nan,) * len(CONTENT)
    blanked_levels: float = np.nan
    bytes_left: float = np.nan


def look_at_file(samples: Sequence[Sample], places: Sequence[Sequence[Box]], data: DataConfig) -> list[Look]:
    """The samples of one file.

    Args:
        samples: At least one.
        places: What to blank in each, see :func:`~ssl_pcb.audit.blanking.blanked_places`.
        data: Settings, none of them automatic.

    Raises:
        UserError: If the file cannot be read, or a crop does not lie in it.
    """
    path = samples[0].path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    traces = file_traces(path, content, data.max_pixels)
    digest = content_hash(content)
    channels, depth = int(data.channels), int(data.bit_depth)
    image = decode(Encoded(str(path), content), channels=channels, bit_depth=depth, max_pixels=data.max_pixels)
    size, counts = (image.shape[1], image.shape[0]), grey_counts(image)
    threshold = otsu_threshold(as_grey(image)[..., 0])
    looks = []
    for sample, boxes in zip(samples, places, strict=True):
        if sample.crop and clip_box(sample.crop, (0, 0, *size)) != sample.crop:
            box = format_boxes([sample.crop])
            raise UserError(f"{path}: crop {box} is not inside the image of {size[0]}x{size[1]} px")
        pixels = cropped(image, sample.crop)
        look = Look(traces, digest, size, int(np.count_nonzero(counts)), content_of(pixels, threshold))
        if boxes:
            without = blank(pixels, boxes)
            left = counts - grey_counts(pixels) + grey_counts(without)
            # The file's other parts keep their bytes.
            saved = (1 - lossless_bytes(without) / lossless_bytes(pixels)) * pixels.size / image.size
            look = replace(
                look, blanked=content_of(without, threshold), blanked_levels=float(np.count_nonzero(left)),
                bytes_left=1 - saved,
            )  # fmt: skip
        looks.append(look)
    return looks
