"""What an audit was made on, with the fingerprint that runs on the same samples have."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ssl_pcb.data.cutting import HASH_BYTES
from ssl_pcb.data.fingerprint import fingerprint
from ssl_pcb.data.manifest import Manifest


def describe(manifest: Manifest, name: str, digests: Sequence[str]) -> dict[str, Any]:
    """For JSON: name, fingerprint, and numbers of samples and images.

    Args:
        manifest: N samples.
        name: What it is called.
        digests: :func:`content_hash` of each one's source file.
    """
    hashes, columns = np.array(digests), manifest.frame[["crop", "group", "split", "label"]]
    found = fingerprint(hashes, lambda some: zip(hashes[some], strict=True), columns)
    return {
        "manifest": name, "fingerprint": found, "samples": len(manifest), "images": manifest.frame["path"].nunique(),
    }  # fmt: skip


def content_hash(content: bytes) -> str:
    """Of a file's content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()[: 2 * HASH_BYTES]
