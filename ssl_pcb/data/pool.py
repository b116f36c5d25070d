"""What pretraining learns from: rows of a packed store, or tar shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from ssl_pcb.data.choosing import choose_training_rows
from ssl_pcb.data.loaders import ALONE, ArrayDataset, Batch, Share, batches
from ssl_pcb.data.samplers import Natural
from ssl_pcb.data.samples import Samples


class Pool(Protocol):
    """Images without labels, shown in batches."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def unit(self) -> str:
        """What one sample is: ``tile`` or ``image``."""
        ...

    @property
    def channels(self) -> int:
        """1 or 3."""
        ...

    @property
    def size(self) -> int:
        """Side of a sample in pixels, without its ring."""
        ...

    def __len__(self) -> int:
        """Samples an epoch."""
        ...

    def batches(self, epoch: int, batch_size: int, share: Share = ALONE) -> DataLoader[Batch]:
        """This process' share of the whole batches of ``epoch``: every sample at most once over all processes.

        What does not fill a last batch is left out; it is something else in every epoch.
        """
        ...

    def excerpt(self, count: int, seed: int) -> ArrayDataset:
        """At most ``count`` samples, always the same ones for the same seed."""
        ...

    def seen(self) -> tuple[set[str], set[str]]:
        """Content hashes of the source images, and names of their boards (groups)."""
        ...

    def describe(self) -> dict[str, object]:
        """Facts for a run's records, with an ``images_fingerprint`` by which a resumed run knows its data."""
        ...


@dataclass(frozen=True)
class StorePool:
    """Rows of a packed store.

    Attributes:
        samples: The store and its manifest.
        rows: (N,) manifest rows to learn from.
        seed: Seed of the order.
    """

    samples: Samples
    rows: NDArray[np.int64]
    seed: int

    @property
    def name(self) -> str:
        """Path of the manifest."""
        return self.samples.name

    @property
    def unit(self) -> str:
        """What one sample is."""
        return self.samples.unit

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.samples.store.spec.channels

    @property
    def size(self) -> int:
        """Side of a sample in pixels, without its ring."""
        return self.samples.store.spec.size

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, epoch: int, batch_size: int, share: Share = ALONE) -> DataLoader[Batch]:
        """Whole batches in the order of ``epoch``."""
        order = Natural(len(self.rows), self.seed).epoch(epoch)
        return batches(self.samples.pixels(self.rows), order, batch_size, drop_last=True, share=share)

    def excerpt(self, count: int, seed: int) -> ArrayDataset:
        """At most ``count`` rows, drawn at random."""
        return self.samples.pixels(some_rows(self.rows, count, seed))

    def seen(self) -> tuple[set[str], set[str]]:
        """Content hashes and boards."""
        return self.samples.seen(self.rows)

    def describe(self) -> dict[str, object]:
        """The manifest's facts."""
        return self.samples.describe()


def some_rows(rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """At most ``count`` of ``rows``, drawn at random, ascending."""
    return np.sort(np.random.default_rng([seed, 2]).choice(rows, min(len(rows), count), replace=False))


def training_rows(samples: Samples, use_unsplit: bool) -> NDArray[np.int64]:
    """Rows to learn from without labels: all of split ``train``, never validation or test.

    Raises:
        UserError: If there are none.
    """
    store, unsplit = samples.store, samples.rows("")
    readable, copies = np.zeros((2, len(samples.manifest)), bool)
    readable[store.rows] = True
    copies[unsplit] = np.isin(store.hashes[unsplit], store.hashes[samples.rows("val", "test", "holdout")])
    return choose_training_rows(samples.manifest, samples.name, use_unsplit, readable=readable, copies=copies)
