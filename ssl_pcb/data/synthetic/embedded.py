"""The data set that comes with the program: made on first use, then taken from the cache."""

from __future__ import annotations

import logging
from pathlib import Path

from tqdm import tqdm

from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.synthetic.generate import GENERATOR_VERSION, synthesize
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

EMBEDDED = "embedded synthetic boards"
"""What records call them."""

BOARDS, IMAGES_PER_BOARD, IMAGE_SIZE = 24, 80, 128


def embedded_manifest(
    *, boards: int = BOARDS, images_per_board: int = IMAGES_PER_BOARD, image_size: int = IMAGE_SIZE
) -> Path:
    """Find or make the synthetic boards in the cache folder; several processes may ask at once.

    Args:
        boards: Number of boards.
        images_per_board: Images of each.
        image_size: Side of the images in pixels.

    Returns:
        Their manifest.

    Raises:
        UserError: If the folder in the cache is there but is not such a set, or cannot be written.
    """
    folder = cache_dir() / f"synthetic-v{GENERATOR_VERSION}-{boards}x{images_per_board}x{image_size}"
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        return manifest
    log.info("making the embedded synthetic boards in %s (once, about a minute)", folder)
    try:
        with tqdm(desc="painting", total=boards * images_per_board, unit="image", disable=None, leave=False) as bar:
            return synthesize(
                folder,
                boards=boards,
                images_per_board=images_per_board,
                image_size=image_size,
                progress=bar.update,
            )
    except UserError as error:
        if manifest.is_file():  # another process was faster; its set is the same to the byte
            return manifest
        raise UserError(f"{error}; or set SSL_PCB_CACHE to another folder") from error
