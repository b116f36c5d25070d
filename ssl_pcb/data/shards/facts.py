"""What a sample's json member says."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ssl_pcb.data.manifest import LABELS, SPLITS
from ssl_pcb.errors import UserError

HASH_DIGITS = 32


@dataclass(frozen=True)
class Facts:
    """The part of a sample's json that training needs.

    Attributes:
        hash: First 16 bytes of the source image's SHA-256; empty if it does not say.
        label: Class index, -1 for unlabelled.
        group: Board, possibly empty.
        split: One of the manifest's splits, or empty.
        crop: The sample's part of its source image, as in a manifest.
        size: Side without the ring in pixels; 0 = any, for what ``ssl-pcb data shards`` has not written.
        margin: Width of the ring in pixels.
    """

    hash: bytes
    label: int
    group: str
    split: str
    crop: str
    size: int
    margin: int


UNKNOWN = Facts(b"", -1, "", "", "", 0, 0)
"""Of a sample without json."""


def parse_facts(data: bytes, name: str) -> Facts:
    """Read a json member; keys that are not ours are nobody's business.

    Args:
        data: The member's contents.
        name: What messages call it.

    Raises:
        UserError: If it is no JSON object, or names a split that this package does not know.
    """
    try:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise UserError(f"{name}: is not a JSON object ({str(error).splitlines()[0][:80]})") from None
    split = found.get("split") or ""
    if split not in ("", *SPLITS):
        # A foreign word for validation images must not pass as "none".
        raise UserError(f"{name}: split {str(split)[:40]!r} is not one of {', '.join(SPLITS)} or empty")
    label = found.get("label")
    ours = "size" in found and "margin" in found  # others may call anything a hash
    return Facts(
        hash=_hash(found.get("hash")) if ours else b"",
        label=LABELS.index(label) if label in LABELS else -1,
        group=_text(found.get("group")),
        split=split,
        crop=_text(found.get("crop")),
        size=_pixels(found, "size", name) if ours else 0,
        margin=_pixels(found, "margin", name) if ours else 0,
    )


def _hash(value: object) -> bytes:
    if isinstance(value, str) and len(value) == HASH_DIGITS:
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    return b""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _pixels(found: dict[str, object], key: str, name: str) -> int:
    value = found[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1 << 16:
        raise UserError(f"{name}: {key} {str(value)[:40]!r} is not a number of pixels")
    return value
