"""Files of several pictures, of which one alone would be judged, and nobody told."""

from __future__ import annotations

from PIL import Image

from ssl_pcb.errors import UserError
from ssl_pcb.imaging.encoded import ImageFile

TIFF_SUBFILE_TYPE = 254
"""Tag whose lowest bit says that a page is another one of this file in small."""

MOST_PREVIEWS = 16
"""Further pictures of a file that are looked at; with more of them it is no photograph or scan."""


def refuse_several(image: Image.Image, path: ImageFile) -> None:
    """Refuse pages and animations. Previews beside a picture are none.

    Raises:
        UserError: Naming ``path``, the file of the opened ``image``.
    """
    if getattr(image, "is_animated", False) and not (image.format in ("TIFF", "MPO") and _previews_follow(image)):
        raise UserError(f"{path}: holds several pictures (pages or an animation); save the one that is meant by itself")


def _previews_follow(image: Image.Image) -> bool:
    """Whether all but the first picture of a file are that one in small."""
    area = image.width * image.height
    try:
        for number in range(1, MOST_PREVIEWS + 1):
            image.seek(number)
            small = image.width * image.height < area
            if not small or (image.format == "TIFF" and not image.tag_v2.get(TIFF_SUBFILE_TYPE, 0) & 1):  # type: ignore[attr-defined]
                return False
    except EOFError:
        return True
    finally:
        image.seek(0)
    return False
