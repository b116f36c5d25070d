"""Pretraining from shards: the same to a stage as the rows of a packed store."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.loaders import ALONE, ArrayDataset, Batch, Share, streamed_batches
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.pool import some_rows
from ssl_pcb.data.resolve import COLOUR_SHARE, COLOUR_TOLERANCE
from ssl_pcb.data.shards.listing import list_shards
from ssl_pcb.data.shards.stream import Decoder, Row, ShardBatches, read_numbers
from ssl_pcb.data.shards.survey import Survey, survey
from ssl_pcb.data.shards.table import WORDS
from ssl_pcb.data.shards.tar import Raw
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import significant_bits
from ssl_pcb.imaging.encoded import Encoded

log = logging.getLogger(__name__)

EXCERPT_SHARDS = 16
"""Most shards that an excerpt is read from: of a set behind https, all would have to be fetched."""
LOOKED_AT = 64


@dataclass(frozen=True)
class ShardPool:
    """Samples of tar shards.

    Attributes:
        name: The text that named the shards.
        shards: What is in them.
        learnable: (N,) which of their samples are learned from.
        decoder: How images become pixels.
        seed: Seed of the order.
        workers: Processes that read and decode; 0 = threads of this one, a batch ahead.
    """

    name: str
    shards: Survey
    learnable: NDArray[np.bool_]
    decoder: Decoder
    seed: int
    workers: int = 0

    @property
    def unit(self) -> str:
        """What one sample is."""
        return self.shards.unit

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.decoder.channels

    @property
    def size(self) -> int:
        """Side of a sample in pixels, without its ring."""
        return self.decoder.size

    def __len__(self) -> int:
        return int(self.learnable.sum())

    def batches(self, epoch: int, batch_size: int, share: Share = ALONE) -> DataLoader[Batch]:
        """Whole batches of ``epoch``; ``batch_size`` is a multiple of the number of processes."""
        rng = np.random.default_rng([self.seed, epoch, 5])
        order = rng.permutation(len(self.shards.shards))
        row = Row(order, self.learnable, self.shards.starts, int(rng.integers(len(self))))
        dataset = ShardBatches(self.shards, row, self.decoder, batch_size, share, (self.seed, epoch, 6))
        return streamed_batches(dataset, self.workers)

    def excerpt(self, count: int, seed: int) -> ArrayDataset:
        """At most ``count`` samples from at most 16 shards, in a temporary file that vanishes with the data set.

        Raises:
            UserError: If the disk is full, or a shard cannot be read.
        """
        side = self.decoder.size + 2 * self.decoder.margin
        labels = []
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115  # it is open as long as the mapping of it
            for raw in self.some(count, seed):
                image, facts = self.decoder(raw)
                labels.append(facts.label)
                file.write(image.tobytes())
            file.flush()
        except OSError as error:
            raise UserError(f"{tempfile.gettempdir()}: cannot be written ({error.strerror}); free some space") from None
        shape = (len(labels), side, side, self.channels)
        pixels = np.memmap(file, np.uint8, "r", shape=shape)
        return ArrayDataset(pixels, np.array(labels, np.int64), np.arange(len(labels)))

    def some(self, count: int, seed: int) -> Iterator[Raw]:
        """At most ``count`` samples from at most 16 shards, as they stand there."""
        starts = self.shards.starts
        order = np.random.default_rng([seed, 3]).permutation(len(self.shards.shards))
        filled = [s for s in order if self.learnable[starts[s] : starts[s + 1]].any()][:EXCERPT_SHARDS]
        near = [np.arange(starts[s], starts[s + 1])[self.learnable[starts[s] : starts[s + 1]]] for s in filled]
        chosen = some_rows(np.sort(np.concatenate(near)), count, seed)
        for shard in sorted(filled):
            numbers = chosen[(chosen >= starts[shard]) & (chosen < starts[shard + 1])] - starts[shard]
            if len(numbers):
                yield from read_numbers(self.shards.shards[shard], self.shards.sizes[shard], numbers)

    def seen(self) -> tuple[set[str], set[str]]:
        """Content hashes and boards."""
        table = self.shards.table
        hashes = {row.tobytes().hex() for row in np.unique(table.hashes[self.learnable], axis=0)}
        return hashes, {table.names[code] for code in np.unique(table.groups[self.learnable])}

    def describe(self) -> dict[str, object]:
        """Facts for a run's records."""
        table, kept = self.shards.table, np.packbits(self.learnable).tobytes()
        fingerprint = hashlib.sha256(self.shards.digest.encode() + kept).hexdigest()[:24]
        return {
            "shards": self.name,
            "fingerprint": fingerprint,
            "images_fingerprint": fingerprint,
            "board_disjoint": self.shards.board_disjoint,
            "unit": self.unit,
            "splits": {
                WORDS[split] or "none": {
                    "samples": int((table.splits == split).sum()),
                    **{label: int(((table.splits == split) & (table.labels == code)).sum())
                       for code, label in enumerate(LABELS)},
                    "groups": len(np.unique(table.groups[table.splits == split])),
                }
                for split in np.unique(table.splits)
            },
            "skipped": int((~self.learnable).sum()),
        }  # fmt: skip


def open_shards(text: str, config: DataConfig, seed: int, use_unsplit: bool, workers: int = 0) -> ShardPool:
    """Find, count and check shards, and say what is learned from.

    Args:
        text: An ``index.json``, a pattern, a brace range, a ``.txt`` list or one tar file; local or https.
        config: Of which ``image_size``, ``channels``, ``bit_depth`` and ``max_pixels`` apply. ``auto`` is what the
            index says, else what some of the images show.
        seed: Seed of the order.
        use_unsplit: Also take unlabelled samples without a split.
        workers: Processes that read and decode; 0 = threads of this one.

    Raises:
        UserError: On a refused location or member, a shard cut off, samples of another size, training samples
            of images or boards that are kept apart, nothing to learn from, or ``skip_bad``.
    """
    if config.skip_bad:
        raise UserError("data.skip_bad: the samples of shards are counted before they are read, so that none can be "
                        "left out; set it to false, and write shards without the bad files")  # fmt: skip
    if config.context:
        raise UserError("data.context: shards hold tiles by themselves; set it to 0, or give the manifest with --data")
    size = config.image_size
    found = survey(list_shards(text), text)
    if found.size not in (0, size):
        raise UserError(
            f"{text}: holds samples of {found.size} px, not {size}; take them with --image-size {found.size}, "
            f"or write others with 'ssl-pcb data shards --image-size {size}'"
        )
    _refuse_leaks(found, text)
    learnable = _learnable(found, text, use_unsplit)
    channels = found.channels if config.channels == "auto" else config.channels
    bit_depth = found.bit_depth if config.bit_depth == "auto" else config.bit_depth
    decoder = Decoder(size, found.margin, bool(found.size), channels, bit_depth, config.max_pixels)
    pool = ShardPool(text, found, learnable, decoder, seed, workers)
    if not channels or not bit_depth:
        measured = _measure(pool)
        decoder = replace(decoder, channels=channels or measured[0], bit_depth=bit_depth or measured[1])
        pool = replace(pool, decoder=decoder)
    plural = "s" if len(found.shards) > 1 else ""
    log.info("%s: %d %ss in %d shard%s to learn from", text, len(pool), pool.unit, len(found.shards), plural)
    return pool


def _refuse_leaks(found: Survey, text: str) -> None:
    """Nothing that is kept apart is learned from, even where other shards call it training data."""
    mend = "split again by board ('ssl-pcb data split') and write the shards anew"
    if boards := found.table.leaked_boards():
        raise UserError(f"{text}: {len(boards)} boards are both in split 'train' and in 'val' or 'test', first "
                        f"{boards[0]!r}; {mend}")  # fmt: skip
    leaked = np.flatnonzero(found.table.leaked_images())
    if len(leaked):
        shard = int(np.searchsorted(found.starts, leaked[0], "right")) - 1
        raise UserError(
            f"{text}: {len(leaked)} samples of split 'train' are copies of images of 'val', 'test' or 'holdout', first "
            f"number {leaked[0] - found.starts[shard] + 1} of {found.shards[shard]}; {mend}"
        )


def _learnable(found: Survey, text: str, use_unsplit: bool) -> NDArray[np.bool_]:
    table = found.table
    learnable = table.learnable(use_unsplit=use_unsplit)
    for split in ("holdout", "val", "test"):
        if count := int((table.splits == WORDS.index(split)).sum()):
            log.warning("%s: %d samples of split '%s' are in the shards; they are not learned from", text, count, split)
    left = int(((table.splits == 0) & ~learnable).sum())
    if not learnable.any():
        free = int(table.free().sum())
        raise UserError(
            f"{text}: no sample is in split 'train'; take the {free} unlabelled ones without a split with "
            "--use-unsplit (nobody vouches for their boards)"
            if free else f"{text}: no sample may be learned from; write shards with 'ssl-pcb data shards'"
        )  # fmt: skip
    if left:
        why = "labelled, or of judged boards" if use_unsplit else "unlabelled ones: --use-unsplit"
        log.info("%s: %d samples without a split are left out (%s)", text, left, why)
    return learnable


def _measure(pool: ShardPool) -> tuple[int, int]:
    """Channels and bit depth of some of the images: 3 if at least one in twenty has colour, and the deepest's bits."""
    coloured, bits = [], []
    for raw in pool.some(LOOKED_AT, pool.seed):
        bits.append(significant_bits(Encoded(raw.name, raw.image), pool.decoder.max_pixels))
        image, _ = replace(pool.decoder, channels=3, bit_depth=bits[-1])(raw)
        coloured.append((image.max(2) - image.min(2)).max() > COLOUR_TOLERANCE)
    # Where none of these is deep, one that turns up later is refused by name, not read too dark.
    if max(bits) > 8:
        log.info("%s: images of 16 bits hold values of %d bits (data.bit_depth)", pool.name, max(bits))
    return 3 if np.mean(coloured) >= COLOUR_SHARE else 1, max(bits)
