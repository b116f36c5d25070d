"""Where files that can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """``$SSL_PCB_CACHE``, or the user's cache directory of this platform; not created here."""
    override = os.environ.get("SSL_PCB_CACHE")
    return Path(override).expanduser() if override else Path(platformdirs.user_cache_dir("ssl-pcb", appauthor=False))
