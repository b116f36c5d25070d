"""What a network has seen, so that it is never judged on boards that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ssl_pcb.data.manifest import PSEUDO_GROUP
from ssl_pcb.errors import UserError

KEY = "trained_on"
"""The record's key in the metadata of a weights file: it travels with the weights wherever they are copied."""


@dataclass(frozen=True)
class TrainedOn:
    """Images and boards behind a network's weights.

    Attributes:
        images: Content hashes of source image files.
        groups: Names of real boards.
    """

    images: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    @classmethod
    def of(cls, images: Collection[str], groups: Collection[str]) -> TrainedOn:
        """A record without the stand-in groups, which name no board."""
        return cls(frozenset(images), frozenset(g for g in groups if g and not g.startswith(PSEUDO_GROUP)))

    def __or__(self, other: TrainedOn) -> TrainedOn:
        return TrainedOn(self.images | other.images, self.groups | other.groups)

    def metadata(self) -> dict[str, str]:
        """The record as metadata of a safetensors file."""
        return {KEY: json.dumps({"groups": sorted(self.groups), "images": sorted(self.images)})}

    @classmethod
    def read(cls, weights: Path) -> TrainedOn | None:
        """The record in a weights file, or ``None`` if it has none.

        Raises:
            UserError: If there is a record that cannot be read.
        """
        if weights.suffix != ".safetensors":
            return None
        try:
            with safe_open(weights, "pt") as opened:
                text = (opened.metadata() or {}).get(KEY)
            if text is None:
                return None
            record = json.loads(text)
            return cls(frozenset(record["images"]), frozenset(record["groups"]))
        except (ValueError, KeyError, TypeError, OSError, SafetensorError):
            raise UserError(f"{weights}: damaged record of what the checkpoint was trained on") from None


def find_leak(seen: TrainedOn, judged: TrainedOn) -> str | None:
    """Say in half a sentence what of ``judged`` (validation and test) a network has already seen."""
    groups = sorted(seen.groups & judged.groups)
    if groups:
        more = f" and {len(groups) - 3} more" if len(groups) > 3 else ""
        return f"trained on boards {', '.join(groups[:3])}{more}, which are validation or test boards here"
    images = len(seen.images & judged.images)
    return f"trained on {images} images that are validation or test images here" if images else None
