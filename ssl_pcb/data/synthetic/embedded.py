"""The data set that comes with the program: made on first use, then taken from the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.synthetic.generate import GENERATOR_VERSION, synthesize
from ssl_pcb.errors import UserError

BOARDS, IMAGES_PER_BOARD, IMAGE_SIZE = 24, 40, 128


@dataclass(frozen=True)
class Embedded:
    """The embedded set.

    Attributes:
        manifest: Its manifest.
        made: Whether this call made it.
    """

    manifest: Path
    made: bool


def embedded_manifest(
    *,
    boards: int = BOARDS,
    images_per_board: int = IMAGES_PER_BOARD,
    image_size: int = IMAGE_SIZE,
    progress: Callable[[int], object] | None = None,
) -> Embedded:
    """Find or make the synthetic boards in the cache folder; several processes may ask at once.

    Args:
        boards: Number of boards.
        images_per_board: Images of each.
        image_size: Side of the images in pixels.
        progress: Called with 1 after each image that is made.

    Raises:
        UserError: If the folder in the cache is there but is not such a set, or cannot be written.
    """
    folder = cache_dir() / f"synthetic-v{GENERATOR_VERSION}-{boards}x{images_per_board}x{image_size}"
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        return Embedded(manifest, made=False)
    try:
        synthesize(
            folder,
            boards=boards,
            images_per_board=images_per_board,
            image_size=image_size,
            progress=progress,
        )
    except UserError as error:
        if manifest.is_file():  # another process was faster; its set is the same to the byte
            return Embedded(manifest, made=False)
        raise UserError(f"{error}; or set SSL_PCB_CACHE to another folder") from error
    return Embedded(manifest, made=True)
