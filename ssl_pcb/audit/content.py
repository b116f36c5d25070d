"""What a picture shows as a whole, in a few numbers that know nothing of defects."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ssl_pcb.evaluation.floors import edge_density
from ssl_pcb.imaging.orientation import Image8
from ssl_pcb.imaging.resize import resize

CONTENT = ("grey levels", "brightness", "contrast", "sharpness", "copper edges", "red", "blue")
"""What is measured: number of grey levels, mean and standard deviation of grey, variance of the Laplacian, share of
neighbouring pixels with an edge of copper between them, and how far mean red and blue lie from grey (NaN in grey sets).
"""

LARGEST = 1024
"""Longer side in pixels up to which pictures are measured as they are; larger ones are reduced to it."""


def content_of(pixels: Image8, threshold: int) -> list[float]:
    """:data:`CONTENT` of a picture.

    Args:
        pixels: uint8 (H, W, C).
        threshold: An edge of copper parts grey levels above it from others.
    """
    pixels = _reduced(pixels)
    grey = as_grey(pixels)
    plane, mean = grey[..., 0].astype(np.float32), pixels.mean((0, 1))
    cast = mean[[0, 2]] - plane.mean() if len(mean) == 3 else np.full(2, np.nan)
    sharpness = ndimage.laplace(plane, mode="nearest").var()
    levels = np.count_nonzero(grey_counts(grey))
    found = [levels, plane.mean(), plane.std(), sharpness, edge_density(plane > threshold), *cast]
    return [float(value) for value in found]


def as_grey(image: Image8) -> Image8:
    """(H, W, 1): ITU-R 601 luma of an image (H, W, C)."""
    return image if image.shape[2] == 1 else np.asarray(Image.fromarray(image).convert("L"))[..., None]


def grey_counts(image: Image8) -> NDArray[np.int64]:
    """(256,) pixels of each grey level in an image (H, W, C)."""
    return np.bincount(as_grey(image).ravel(), minlength=256)


def lossless_bytes(image: Image8) -> int:
    """What an image (H, W, C) takes as a PNG file, reduced to :data:`LARGEST`."""
    held, reduced = io.BytesIO(), _reduced(image)
    Image.fromarray(reduced[..., 0] if reduced.shape[2] == 1 else reduced).save(held, "PNG", compress_level=1)
    return held.tell()


def _reduced(image: Image8) -> Image8:
    longer = max(image.shape[:2])
    if longer <= LARGEST:
        return image
    height, width = (max(1, round(side * LARGEST / longer)) for side in image.shape[:2])
    return resize(image, height, width)
