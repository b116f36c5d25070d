"""Clusters of images that show the same thing, as stand-ins for boards where those are not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ssl_pcb.data.parallel import map_files
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import MAX_PIXELS, decode

HASH_SIDE = 16
"""Perceptual hashes have 16 x 16 bits: 8 x 8 would put many different pictures of alike boards together."""

MAX_DISTANCE = 20
"""Differing bits, of 256, up to which two images are near-duplicates (unrelated ones differ in about 128)."""

_BLOCK_ENTRIES = 20_000_000
_THUMBNAIL = 512


def cluster_images(
    paths: list[Path], bit_depth: int | None = None, max_pixels: int = MAX_PIXELS
) -> list[int | UserError]:
    """Number each image's cluster: exact copies and near-duplicates, directly or through others, share one.

    Args:
        paths: Image files.
        bit_depth: Significant bits of files over 8 bits.
        max_pixels: Refuse larger images.

    Returns:
        A cluster number from 0 for each path, or the error where it cannot be read.
    """
    results = list(map_files(lambda path: perceptual_hash(path, bit_depth, max_pixels), paths))
    hashes = [result for result in results if not isinstance(result, UserError)]
    numbers = iter(cluster_hashes(np.array(hashes)).tolist() if hashes else [])
    return [result if isinstance(result, UserError) else next(numbers) for result in results]


def perceptual_hash(path: Path, bit_depth: int | None, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.bool_]:
    """The 256 bits of the image's DCT hash (Zauner, 2010, "Implementation and benchmarking of perceptual image
    hash functions").
    """
    import imagehash

    picture = Image.fromarray(decode(path, channels=1, bit_depth=bit_depth, max_pixels=max_pixels)[..., 0])
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    bits: npt.NDArray[np.bool_] = imagehash.phash(picture, hash_size=HASH_SIDE).hash.reshape(-1)
    return bits


def cluster_hashes(hashes: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Connected components of "differ in at most :data:`MAX_DISTANCE` bits".

    Args:
        hashes: (N, B) bits.

    Returns:
        (N,) component numbers, in the order in which they first appear.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    unique, inverse = np.unique(np.packbits(hashes, axis=1), axis=0, return_inverse=True)
    signs = np.unpackbits(unique, axis=1, count=hashes.shape[1]).astype(np.float32) * 2 - 1
    first, second = _near_pairs(signs)
    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(len(unique), len(unique)))
    labels = connected_components(links, directed=False)[1][inverse.reshape(-1)]
    order = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([order[label] for label in labels.tolist()])


def _near_pairs(signs: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pairs of near rows; blocks of rows keep the memory bounded for any number of images."""
    count, bits = signs.shape
    step = max(1, _BLOCK_ENTRIES // count)
    first, second = [], []
    for start in range(0, count, step):
        # The product of two +-1 vectors is the number of bits minus twice the number of differing ones.
        near = signs[start : start + step] @ signs[start:].T >= bits - 2 * MAX_DISTANCE
        rows, columns = np.nonzero(near)
        first.append(rows[columns > rows] + start)
        second.append(columns[columns > rows] + start)
    return np.concatenate(first), np.concatenate(second)
