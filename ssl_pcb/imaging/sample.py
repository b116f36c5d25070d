"""From a decoded image to a sample's pixels: the one way, for training and prediction alike."""

from __future__ import annotations

from PIL import Image

from ssl_pcb.imaging.encoded import reencoded
from ssl_pcb.imaging.orientation import Box, Image8
from ssl_pcb.imaging.resize import cut
from ssl_pcb.imaging.tiling import clip_box


def cut_sample(image: Image8 | Image.Image, crop: Box | None, size: int, margin: int, jpeg: int = 0) -> Image8:
    """The pixels of a sample with its ring of surroundings.

    Args:
        image: The source image, uint8 (H, W, C) or a picture of mode L or RGB.
        crop: The sample's part of it; ``None`` = the whole image.
        size: Side of the sample in pixels.
        margin: Width of the ring in pixels.
        jpeg: Quality at which the sample is encoded and decoded again; 0 = it is not.

    Returns:
        uint8 (size + 2 * margin, size + 2 * margin, C).
    """
    sample = cut(image, crop, size, margin)
    return reencoded(sample, jpeg) if jpeg else sample


def without_ring(sample: Image8, margin: int) -> Image8:
    """The central square of a sample, without its ring of ``margin`` pixels: what the network sees."""
    return sample[margin : len(sample) - margin, margin : len(sample) - margin]


def outside(crop: Box, width: int, height: int) -> str | None:
    """What is wrong with a crop that does not lie in an image of ``width`` x ``height`` pixels; ``None`` if it does."""
    if clip_box(crop, (0, 0, width, height)) == crop:
        return None
    return f"crops {' '.join(f'{value:.10g}' for value in crop)} of {width}x{height} px"
