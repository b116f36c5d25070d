"""Pictures of what is not OK, in a folder, made while images are judged."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from ssl_pcb.data.files import whole_file
from ssl_pcb.deploy.items import Item
from ssl_pcb.deploy.merging import Prediction
from ssl_pcb.deploy.overlay import COLOURS, overlay
from ssl_pcb.deploy.predictor import Predictor
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

LONGEST_STEM = 80


def drawn(
    predictor: Predictor, items: Iterable[Item], folder: Path, *, max_pixels: int | None, batch: int | None
) -> Iterator[Prediction]:
    """Judge as :meth:`Predictor.stream`, and leave a picture of each image that is NG or for REVIEW.

    Args:
        predictor: That can tell where it sees defects.
        items: As they come.
        folder: New or empty; made if it is not there.
        max_pixels: Larger images are refused; ``None`` = as in training.
        batch: Samples that the network is given at a time; ``None`` = by their size.

    Raises:
        UserError: Before anything is judged, if the model cannot tell where, or the folder is no place for them.
    """
    if predictor.heats is None:
        raise UserError("--overlays: an exported model cannot say where it looks; name the run folder it was made of")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise UserError(f"--overlays: {folder}: {error.strerror}; name another folder") from None
    if used:
        raise UserError(f"--overlays: {folder} is not empty, and nothing in it is overwritten; name another folder")
    return _drawn(predictor, items, folder, max_pixels, batch)


def _drawn(
    predictor: Predictor, items: Iterable[Item], folder: Path, max_pixels: int | None, batch: int | None
) -> Iterator[Prediction]:
    judged: deque[Item] = deque()

    def noted() -> Iterator[Item]:
        for item in items:
            judged.append(item)
            yield item

    for number, found in enumerate(predictor.stream(noted(), max_pixels=max_pixels, batch=batch), 1):
        item = judged.popleft()
        if found.verdict in COLOURS:
            try:
                picture = overlay(predictor, item, found, max_pixels)
            except UserError as error:  # it could be read a moment ago
                log.warning("no overlay: %s", error)
            else:
                with whole_file(folder / overlay_name(number, item.name)) as part:
                    picture.save(part, "PNG")
        yield found


def overlay_name(number: int, name: str) -> str:
    """A file name that begins with the row's number, from 1: no two are alike, whatever images are called."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).stem)[:LONGEST_STEM]
    return f"{number:06}-{stem}.png"
