"""What a network has seen, so that it is never judged on boards that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ssl_pcb.data.cutting import HASH_BYTES
from ssl_pcb.data.manifest import PSEUDO_GROUP
from ssl_pcb.errors import UserError

KEY = "trained_on"
"""The boards' key in the metadata of a weights file: the record travels with the weights wherever they are copied."""
IMAGES = "trained_on.images"
"""Name of the tensor (N, 16) uint8 of image hashes beside the weights: metadata has room for a few million only."""


@dataclass(frozen=True)
class TrainedOn:
    """Images and boards behind a network's weights.

    Attributes:
        hashes: Content hashes of source image files, distinct, ascending, one after the other.
        groups: Names of real boards.
    """

    hashes: bytes = b""
    groups: frozenset[str] = frozenset()

    @classmethod
    def of(cls, images: Collection[str], groups: Collection[str]) -> TrainedOn:
        """A record without the stand-in groups, which name no board.

        Args:
            images: Content hashes, hexadecimal.
            groups: Names of boards.
        """
        boards = frozenset(group for group in groups if group and not group.startswith(PSEUDO_GROUP))
        return cls(_ascending(b"".join(map(bytes.fromhex, images))), boards)

    def __or__(self, other: TrainedOn) -> TrainedOn:
        return TrainedOn(_ascending(self.hashes + other.hashes), self.groups | other.groups)

    @property
    def images(self) -> frozenset[str]:
        """The hashes, hexadecimal."""
        starts = range(0, len(self.hashes), HASH_BYTES)
        return frozenset(self.hashes[start : start + HASH_BYTES].hex() for start in starts)

    def metadata(self) -> dict[str, str]:
        """The boards as metadata of a safetensors file."""
        return {KEY: json.dumps({"groups": sorted(self.groups)})}

    def tensors(self) -> dict[str, Tensor]:
        """The images as a tensor of a safetensors file."""
        return {IMAGES: torch.from_numpy(np.frombuffer(self.hashes, np.uint8).reshape(-1, HASH_BYTES).copy())}

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
                if "images" in record:  # as files had it when it was all in the metadata
                    return cls.of(record["images"], frozenset(record["groups"]))
                return cls(_ascending(_bytes_of(opened.get_tensor(IMAGES))), frozenset(record["groups"]))
        except (ValueError, KeyError, TypeError, OSError, SafetensorError):
            raise UserError(f"{weights}: damaged record of what the checkpoint was trained on") from None


def find_leak(seen: TrainedOn, judged: TrainedOn) -> str | None:
    """Say in half a sentence what of ``judged`` (validation and test) a network has already seen."""
    groups = sorted(seen.groups & judged.groups)
    if groups:
        more = f" and {len(groups) - 3} more" if len(groups) > 3 else ""
        return f"trained on boards {', '.join(groups[:3])}{more}, which are validation or test boards here"
    images = int(np.isin(_array(judged.hashes), _array(seen.hashes)).sum())
    return f"trained on {images} images that are validation or test images here" if images else None


def _array(hashes: bytes) -> NDArray[np.bytes_]:
    return np.frombuffer(hashes, f"S{HASH_BYTES}")  # raises ValueError where the length is none of whole hashes


def _ascending(hashes: bytes) -> bytes:
    return np.unique(_array(hashes)).tobytes()


def _bytes_of(tensor: Any) -> bytes:
    if tensor.dtype != torch.uint8 or tensor.ndim != 2 or tensor.shape[1] != HASH_BYTES:
        raise ValueError("no table of hashes")
    return bytes(tensor.numpy().tobytes())
