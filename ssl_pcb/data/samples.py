"""A manifest and its packed pixels, side by side: what every stage starts from."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.boxes import defect_boxes
from ssl_pcb.data.fingerprint import fingerprint
from ssl_pcb.data.loaders import ArrayDataset
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.data.resolve import crop_sizes
from ssl_pcb.data.store import Store, open_pair, open_store
from ssl_pcb.data.synthetic.embedded import EMBEDDED, embedded_manifest
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

NOT_BOARD_DISJOINT = "not board-disjoint: the manifest names no real boards, so a board may be on both sides"


def unit_of(manifest: Manifest) -> str:
    """What one row is, for naming rates: ``tile`` or ``image``."""
    return "tile" if manifest.frame["crop"].ne("").any() else "image"


@dataclass(frozen=True)
class Samples:
    """All readable samples of a manifest.

    Attributes:
        name: Path of the manifest, or ``embedded synthetic boards``.
        manifest: One row a sample.
        store: Their pixels; ``store.rows[i]`` is the manifest row of sample i.
        references: Their golden images' pixels, which join as further channels, or ``None``.
    """

    name: str
    manifest: Manifest
    store: Store
    references: Store | None = None

    @property
    def without_references(self) -> Samples:
        """The same samples without their golden images."""
        return replace(self, references=None)

    @property
    def channels(self) -> int:
        """Channels of :meth:`pixels`."""
        return self.store.spec.channels * (1 if self.references is None else 2)

    @property
    def pixels_name(self) -> str:
        """Tells :meth:`pixels` from any others."""
        return " beside ".join(store.folder.name for store in (self.store, self.references) if store is not None)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) class indices by manifest row; -1 for unlabelled."""
        codes = {"": -1, **{label: index for index, label in enumerate(LABELS)}}
        return np.array([codes[label] for label in self.manifest.frame["label"]], np.int64)

    @property
    def unit(self) -> str:
        """What one sample is, for naming rates."""
        return unit_of(self.manifest)

    def rows(self, *splits: str, labelled: bool = False) -> NDArray[np.int64]:
        """Manifest rows of the named splits whose pixels could be read; only labelled ones if asked."""
        chosen = self.manifest.frame["split"].isin(splits).to_numpy()
        if labelled:
            chosen = chosen & (self.labels >= 0)
        return np.asarray(self.store.rows[chosen[self.store.rows]])

    def column(self, name: str, rows: NDArray[np.int64]) -> list[str]:
        """Text of one manifest column at ``rows``."""
        return [str(value) for value in self.manifest.frame[name].to_numpy()[rows]]

    def seen(self, rows: NDArray[np.int64]) -> tuple[set[str], set[str]]:
        """Content hashes of the source images behind ``rows``, and the names of their boards.

        Golden images are not among them: boards of one design share theirs.
        """
        return set(self.store.digests(rows)), set(self.column("group", rows))

    def pixels(self, rows: NDArray[np.int64], *, boxes: bool = False) -> ArrayDataset:
        """The pixels of ``rows`` as a data set, with the samples' defect boxes if asked."""
        references = None if self.references is None else self.references.pixels
        return ArrayDataset(self.store.pixels, self.labels, rows, references, self.boxes if boxes else None)

    def boxes(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Defects of ``rows`` (B, M, 4), see :func:`ssl_pcb.data.boxes.defect_boxes`."""
        return defect_boxes(self.manifest, rows, self.store.sizes[rows], self.store.spec.size, self.store.spec.context)

    def supervised(self, split: str) -> NDArray[np.int64]:
        """Labelled rows of ``split``.

        Raises:
            UserError: If there are none, or of one class only.
        """
        rows = self.rows(split, labelled=True)
        found = [LABELS[index] for index in np.unique(self.labels[rows])]
        if len(found) < len(LABELS):
            only = f"only {found[0]}" if found else "no labelled"
            raise UserError(
                f"{self.name}: split '{split}' has {only} samples; a classifier needs both "
                f"{' and '.join(LABELS)} there: label more, or split again with 'ssl-pcb data split'"
            )
        return rows

    def fingerprint(self, *, labels: bool) -> str:
        """Hash of contents of images and golden images, crops and splits, and of the labels if asked.

        Where the files lie does not matter.
        """
        columns = ["crop", "group", "split", *(["label"] if labels else [])]
        stores = [store for store in (self.store, self.references) if store is not None]
        rows = self.store.rows
        return fingerprint(
            self.store.hashes[rows],
            lambda some: zip(*(store.digests(rows[some]) for store in stores), strict=True),
            self.manifest.frame[columns].iloc[rows],
        )

    @property
    def least_side(self) -> int | None:
        """The shortest side of a training sample in pixels of its source image; ``None`` without any."""
        sides = self.sides(self.rows("train"))
        return max(1, int(sides.min())) if len(sides) else None

    @property
    def most_side(self) -> int | None:
        """The longest one."""
        sides = self.sides(self.rows("train"))
        return max(1, int(sides.max())) if len(sides) else None

    def sides(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N, 2) of the samples at manifest ``rows`` (N,), in pixels of their source images."""
        crops = self.manifest.frame["crop"].iloc[rows]
        return np.where(crops.eq("").to_numpy()[:, None], self.store.sizes[rows], crop_sizes(crops))

    def describe(self) -> dict[str, object]:
        """Facts about the data for a run's records."""
        frame = self.manifest.frame
        return {
            "manifest": self.name,
            "fingerprint": self.fingerprint(labels=True),
            "images_fingerprint": self.fingerprint(labels=False),
            "images_alone_fingerprint": self.without_references.fingerprint(labels=False),
            "board_disjoint": self.manifest.board_disjoint,
            "unit": self.unit,
            "least_side": self.least_side,
            "most_side": self.most_side,
            "splits": {
                split or "none": {
                    "samples": int(frame["split"].eq(split).sum()),
                    **{label: int((frame["split"].eq(split) & frame["label"].eq(label)).sum()) for label in LABELS},
                    "groups": int(frame["group"][frame["split"].eq(split)].nunique()),
                }
                for split in sorted(frame["split"].unique())
            },
            "skipped": len(self.store.bad),
        }


def load_samples(config: DataConfig) -> tuple[Samples, DataConfig]:
    """Read the manifest (or make the embedded boards), pack its pixels if needed, and say what came of it.

    Returns:
        The samples, and ``config`` with its automatic settings decided.

    Raises:
        UserError: On whatever is wrong with manifest or images.
    """
    if config.manifest is None:
        path, name = embedded_manifest(), EMBEDDED
        log.info("no --data: using the %s in %s", name, path.parent)
    else:
        path, name = config.manifest, str(config.manifest)
    manifest = Manifest.read(path)
    if not len(manifest):
        raise UserError(f"{name}: the manifest has no rows")
    references = None
    if config.references:
        store, references, config = open_pair(manifest, config, name)
    else:
        store, config = open_store(manifest, config)
    if store.bad:
        log.warning("%d unreadable files left out, first: %s", len(store.bad), next(iter(store.bad.values())))
    if not manifest.board_disjoint:
        log.warning(NOT_BOARD_DISJOINT)
    return Samples(name, manifest, store, references), config
