"""Where packed samples lie: what a store's name says, which ones are stale, and who may write there."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.files import whole_file
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.packing import VERSION
from ssl_pcb.data.resolve import margin_pixels
from ssl_pcb.data.sources import Sources
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.encoded import REENCODED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a manifest's stores lie: one for each choice of channels and bit depth.

    Attributes:
        root: The folder of all stores.
        identity: Name of what is to be packed but for channels and bit depth, which ``auto`` leaves open.
        state: State of the source files.
    """

    root: Path
    identity: str
    state: str

    @classmethod
    def of(cls, sources: Sources, manifest: Manifest, config: DataConfig) -> Place:
        """The place of ``manifest``'s samples under ``config``."""
        left_out_above = config.max_pixels if config.skip_bad else None
        transform: list[object] = [VERSION, config.image_size, margin_pixels(config, manifest), left_out_above]
        if config.context:
            transform.append(f"context {config.context}")
        if config.references:
            transform.append(f"jpeg {REENCODED}")
        return cls((config.cache or cache_dir()) / "stores", sources.identity(transform), sources.fingerprint())

    @property
    def decided(self) -> Path:
        """The file that says what ``auto`` came to."""
        return self.root / f"{self.identity}.json"

    def folder(self, config: DataConfig) -> Path:
        """The store for decided settings."""
        return self.root / f"{self.identity}-{self.state}-{config.channels}x{config.bit_depth}"

    def find(self, config: DataConfig) -> Path | None:
        """The packed store for ``config``; ``None`` if there is none, or nobody has decided what ``auto`` is."""
        folder = self.folder(config.model_copy(update={key: self._recall().get(key) for key in _automatic(config)}))
        return folder if folder.is_dir() else None

    def stale(self) -> list[Path]:
        """Stores of another state of the files."""
        found = self.root.glob(f"{self.identity}-*")
        return [folder for folder in found if not folder.name.startswith(f"{self.identity}-{self.state}-")]

    def remember(self, asked: DataConfig, decided: DataConfig) -> None:
        """Keep what ``auto`` came to, so that it and the decided values find the same store."""
        values = {key: getattr(decided, key) for key in _automatic(asked)}
        if values:
            with whole_file(self.decided) as part:
                part.write_text(json.dumps(self._recall() | values | {"state": self.state}))

    def _recall(self) -> dict[str, Any]:
        try:
            found = json.loads(self.decided.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.get("state") == self.state else {}


def _automatic(config: DataConfig) -> list[str]:
    return [key for key in ("channels", "bit_depth") if getattr(config, key) == "auto"]


@contextmanager
def only_packer(place: Place) -> Iterator[None]:
    """As the only process that packs at ``place``; a lock ends with the process that holds it."""
    try:
        place.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.root / f"{place.identity}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another process is packing these samples: waiting for it")
            lock.acquire()
    except OSError as error:
        raise UserError(
            f"{place.root}: cannot be written ({error.strerror or error}); set data.cache or SSL_PCB_CACHE"
        ) from None
    try:
        yield
    finally:
        lock.release()
